"""What a peer tells and believes about the addresses of other peers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import KeyPair, PeerId
from swarmd.network import address_book
from swarmd.network.address_book import CREDIT, NAMERS_MAX, AddressBook
from swarmd.network.binary_addresses import write_address
from swarmd.network.dialling import BACK_OFF_S, NAMED, TARGET
from swarmd.network.interface import Standing

IDS = [KeyPair.from_seed(bytes([number]) * 32).peer_id for number in range(100)]
PEER, NODE, OTHER = IDS[:3]
OWN = f"/ip4/9.9.9.9/tcp/4000/p2p/{IDS[99]}"
AT, ELSEWHERE = "/ip4/8.8.8.8/tcp/4001", "/ip4/8.8.4.4/tcp/4001"
RELAYED = f"/ip4/8.8.8.8/tcp/4001/p2p/{OTHER}/p2p-circuit"


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def book_of(time: Time | None = None, *, met: frozenset[PeerId] = frozenset()) -> AddressBook:
    book = AddressBook(lambda peer: Standing.MET if peer in met else Standing.STRANGER, time or Time())
    book.located({}, [OWN])
    return book


def binary(transport: str) -> bytes:
    return write_address(transport)


def dialled(book: AddressBook, peer: PeerId = PEER) -> list[str]:
    return [address.transport for address in book.to_dial(peer)]


def test_a_peer_is_told_of_where_it_is_connected_and_says_that_it_is() -> None:
    book = book_of()
    book.stated(PEER, binary(AT))
    assert book.address_of(PEER) == b""  # anybody can state anything
    book.located({PEER: AT}, [OWN])
    assert book.address_of(PEER) == binary(AT)
    book.located({}, [OWN])
    assert book.address_of(PEER) == binary(AT)  # it is still there, probably


def test_the_order_of_stating_and_locating_does_not_matter() -> None:
    book = book_of()
    book.located({PEER: AT}, [OWN])
    assert book.address_of(PEER) == b""  # the port may be that of a router
    book.stated(PEER, binary(AT))
    assert book.address_of(PEER) == binary(AT)


def test_a_peer_behind_a_router_is_not_told_of() -> None:
    book = book_of()
    book.stated(PEER, binary("/ip4/192.168.1.7/tcp/4001"))
    book.located({PEER: AT}, [OWN])
    assert book.address_of(PEER) == b""
    book.located({PEER: RELAYED}, [OWN])
    assert book.address_of(PEER) == b""


def test_a_peer_that_was_dialled_somewhere_and_is_connected_there_is_told_of() -> None:
    book = book_of()
    book.named(PEER, binary(AT), NODE)
    book.reached(PEER, book.to_dial(PEER))
    assert book.address_of(PEER) == b""
    book.located({PEER: AT}, [OWN])
    assert book.address_of(PEER) == binary(AT)


def test_a_peer_that_p2pd_found_elsewhere_is_not_told_of_at_the_false_address() -> None:
    book = book_of()
    book.named(PEER, binary(ELSEWHERE), NODE)
    book.reached(PEER, book.to_dial(PEER))
    book.located({PEER: AT}, [OWN])
    assert book.address_of(PEER) == b""


@pytest.mark.parametrize(
    ("own", "stated"),
    [
        ([f"{RELAYED}/p2p/{PEER}", f"{AT}/p2p/{PEER}"], AT),
        ([f"/dns4/example.org/tcp/4001/p2p/{PEER}"], ""),
        ([f"/ip6/2a00:1450:4001:81b::200e/udp/4001/quic-v1/p2p/{PEER}"], None),
        ([], ""),
    ],
)
def test_a_peer_states_its_first_ip_address_that_leads_directly_to_it(
    own: list[str], stated: str | None
) -> None:
    book = book_of()
    book.located({}, own)
    expected = own[0].partition("/p2p/")[0] if stated is None else stated
    assert book.own == (binary(expected) if expected else b"")


def test_a_named_peer_is_dialled_once_at_each_address_that_nodes_named() -> None:
    book = book_of()
    for node, address in ((NODE, AT), (OTHER, ELSEWHERE), (IDS[3], AT)):
        book.named(PEER, binary(address), node)
    assert dialled(book) == [AT, ELSEWHERE]
    assert dialled(book) == []


def test_a_node_names_one_address_for_a_peer_and_only_so_many_nodes_count() -> None:
    book = book_of()
    for node in IDS[1:]:
        book.named(PEER, binary(f"/ip4/8.8.8.{IDS.index(node)}/tcp/4001"), node)
    book.named(PEER, binary(AT), NODE)
    assert dialled(book) == [AT, *(f"/ip4/8.8.8.{number}/tcp/4001" for number in range(2, NAMERS_MAX + 1))]


def test_what_this_peer_has_seen_counts_more_than_what_others_name() -> None:
    book = book_of()
    book.stated(PEER, binary(AT))
    book.located({PEER: AT}, [OWN])
    book.named(PEER, binary(ELSEWHERE), NODE)
    assert dialled(book) == []  # it is connected
    book.located({}, [OWN])
    book.named(PEER, binary(ELSEWHERE), NODE)
    assert dialled(book) == [AT]
    book.missed(PEER, book.to_dial(PEER))
    assert dialled(book) == []
    book.named(PEER, binary(ELSEWHERE), NODE)
    assert dialled(book) == [ELSEWHERE]


def test_a_node_that_names_false_addresses_is_soon_not_followed() -> None:
    time = Time()
    book = book_of(time)

    def tries() -> int:
        for number, peer in enumerate(IDS[10:50]):
            book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), NODE)
        every = {peer: book.to_dial(peer) for peer in IDS[10:50]}
        for peer, addresses in every.items():
            book.missed(peer, addresses)
        return sum(map(bool, every.values()))

    assert tries() == CREDIT.burst
    assert tries() == 0
    time.now = 1 / CREDIT.per_second
    assert tries() == 1


def test_a_node_whose_addresses_are_right_keeps_its_credit() -> None:
    book = book_of()
    for number, peer in enumerate(IDS[10:50]):
        book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), NODE)
        addresses = book.to_dial(peer)
        assert len(addresses) == 1
        book.reached(peer, addresses)


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/192.168.1.7/tcp/4001",
        "/ip4/224.0.0.1/tcp/4001",
        "/ip4/8.8.8.8/tcp/22",
        "/dns4/example.org/tcp/4001",
        RELAYED,
    ],
)
def test_where_no_peer_can_be_nobody_is_dialled_and_nobody_is_charged(address: str) -> None:
    book = book_of()
    for _ in range(2 * int(CREDIT.burst)):
        book.named(PEER, binary(address), NODE)
        assert dialled(book) == []
    book.named(PEER, binary(AT), NODE)
    assert dialled(book) == [AT]


def test_a_third_party_is_knocked_at_a_few_times_however_many_nodes_name_it() -> None:
    book = book_of()
    knocks = 0
    for peer in IDS[3:60]:
        for node in IDS[60:64]:
            book.named(peer, binary(f"/ip4/8.8.8.8/tcp/{4_000 + IDS.index(node)}"), node)
        addresses = book.to_dial(peer)
        knocks += len(addresses)
        book.reached(peer, addresses)
    assert knocks == TARGET.burst


def test_named_addresses_are_dialled_at_a_bounded_pace() -> None:
    book = book_of()
    dials = 0
    for number, peer in enumerate(IDS[:90]):
        book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), IDS[99 - number % 8])
        addresses = book.to_dial(peer)
        book.reached(peer, addresses)
        dials += len(addresses)
    assert dials == NAMED.burst


def test_an_address_where_nobody_answered_is_left_alone_for_a_while() -> None:
    time = Time()
    book = book_of(time)
    book.named(PEER, binary(AT), NODE)
    book.missed(PEER, book.to_dial(PEER))
    book.named(PEER, binary(AT), OTHER)
    assert dialled(book) == []
    time.now = BACK_OFF_S
    book.named(PEER, binary(AT), OTHER)
    assert dialled(book) == [AT]


@given(st.binary(max_size=40))
def test_any_bytes_can_be_stated_and_named(address: bytes) -> None:
    book = book_of()
    book.stated(PEER, address)
    book.named(PEER, address, NODE)
    book.to_dial(PEER)


def test_the_newest_peers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_book, "PEERS_MAX", 3)
    book = book_of()
    for peer in IDS[:9]:
        book.stated(peer, binary(AT))
        book.located({peer: AT}, [OWN])
    assert [peer for peer in IDS[:9] if book.address_of(peer)] == IDS[6:9]
    for number, peer in enumerate(IDS[10:19]):
        book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), NODE)
    assert [bool(dialled(book, peer)) for peer in IDS[10:17]] == [False] * 6 + [True]
