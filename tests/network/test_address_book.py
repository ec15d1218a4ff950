"""What a peer tells and believes about the addresses of other peers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import KeyPair, PeerId
from swarmd.addresses import parse_peer_address
from swarmd.network import address_book
from swarmd.network.address_book import CREDIT, CREDIT_OF_RELIED_ON, NAMERS_MAX, AddressBook
from swarmd.network.binary_addresses import write_address
from swarmd.network.dialling import BACK_OFF_S, NAMED, TARGET
from swarmd.network.interface import Standing

IDS = [KeyPair.from_seed(bytes([number]) * 32).peer_id for number in range(100)]
PEER, NODE, OTHER = IDS[:3]
OWN = f"/ip4/9.9.9.9/tcp/4000/p2p/{IDS[99]}"
AT, ELSEWHERE = "/ip4/8.8.8.8/tcp/4001", "/ip4/8.8.4.4/tcp/4001"
RELAYED = f"/ip4/8.8.6.6/tcp/4001/p2p/{OTHER}/p2p-circuit"


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def book_of(time: Time | None = None, *, relied_on: frozenset[PeerId] = frozenset()) -> AddressBook:
    book = AddressBook(relied_on.__contains__, time or Time())
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


def test_a_peer_that_moved_is_not_told_of_where_it_was() -> None:
    book = book_of()
    book.stated(PEER, binary(AT))
    book.located({PEER: AT}, [OWN])
    book.located({}, [OWN])
    book.reached(PEER, book.to_dial(PEER))
    book.located({PEER: ELSEWHERE}, [OWN])
    assert book.address_of(PEER) == b""
    book.stated(PEER, binary(ELSEWHERE))
    assert book.address_of(PEER) == binary(ELSEWHERE)


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


def test_a_peer_that_nobody_can_dial_states_no_public_address() -> None:
    """p2pd counts the address of the router among its own, and others are connected to it there."""
    home = "/ip4/192.168.1.7/tcp/4001"
    book = book_of()
    book.located({}, [f"{AT}/p2p/{PEER}", f"{home}/p2p/{PEER}"], is_closed=True)
    assert book.own == binary(home)
    book.located({}, [f"{AT}/p2p/{PEER}"], is_closed=True)
    assert book.own == b""


def test_a_relays_address_says_nothing_of_this_peers_own_network() -> None:
    book = book_of()
    relay = f"/ip4/10.0.0.5/tcp/4001/p2p/{OTHER}/p2p-circuit"
    book.located({}, [f"{relay}/p2p/{IDS[99]}", OWN])
    book.named(PEER, binary("/ip4/10.0.0.7/tcp/4001"), NODE)
    assert dialled(book) == []


def test_after_a_restart_of_p2pd_peers_are_dialled_again_where_they_were() -> None:
    book = book_of()
    book.stated(PEER, binary(AT))
    book.located({PEER: AT}, [OWN])
    book.restarted()
    assert dialled(book) == [AT]


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


def test_a_node_whose_peers_are_elsewhere_is_soon_not_followed_although_they_were_reached() -> None:
    """Else it could send every peer to third parties as often as NAMED allows."""
    book = book_of()
    named = IDS[10 : 10 + int(CREDIT.burst)]
    for number, peer in enumerate(named):
        book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), NODE)
    for peer in named:
        book.reached(peer, book.to_dial(peer))
    book.located({named[0]: AT}, [OWN])  # and the others hung up
    book.named(IDS[9], binary(AT), NODE)
    assert dialled(book, IDS[9]) == []


def test_a_node_whose_peers_are_where_it_says_keeps_its_credit_when_they_are_seen_there() -> None:
    book = book_of()
    for number, peer in enumerate(IDS[10:20]):
        at = f"/ip4/8.8.{number}.8/tcp/4001"
        book.named(peer, binary(at), NODE)
        addresses = book.to_dial(peer)
        assert len(addresses) == 1
        book.reached(peer, addresses)
        book.located({peer: at}, [OWN])


def test_two_calls_to_a_named_peer_at_once_cost_neither_namer_anything_if_it_is_reached() -> None:
    book = book_of()
    for _ in range(int(CREDIT.burst) + 1):
        for namer in (NODE, IDS[9]):
            book.named(PEER, binary(AT), namer)
            assert dialled(book) == [AT]
        for _ in range(2):
            book.reached(PEER, [parse_peer_address(f"{AT}/p2p/{PEER}")])
        book.located({PEER: AT}, [OWN])
        book.missed(PEER, [])
        book.restarted()


def test_nodes_without_credit_do_not_keep_the_names_of_others_out() -> None:
    book = book_of()
    liars = IDS[50 : 50 + NAMERS_MAX]
    for number, peer in enumerate(IDS[10 : 10 + int(CREDIT.burst)]):
        for liar in liars:
            book.named(peer, binary(f"/ip4/8.8.{number}.{IDS.index(liar)}/tcp/4001"), liar)
        book.missed(peer, book.to_dial(peer))
    for liar in liars:
        book.named(PEER, binary(ELSEWHERE), liar)
    book.named(PEER, binary(AT), NODE)
    assert dialled(book) == [AT]


def test_false_names_do_not_use_up_what_a_peer_itself_states() -> None:
    """Twelve dials an hour to one peer, and to one IP address: liars could have kept others from them."""
    book = book_of()
    for number in range(2 * int(TARGET.burst)):
        book.named(PEER, binary(f"/ip4/8.8.8.8/tcp/{4_100 + number}"), IDS[40 + number])
        book.missed(PEER, book.to_dial(PEER))
    stated = [parse_peer_address(f"/ip4/8.8.8.8/tcp/4001/p2p/{PEER}")]
    choice = book.dialling.choose(stated, own=[OWN], standing=Standing.STRANGER, now=0.0)
    assert choice.dial == tuple(stated)


def test_a_node_that_delivered_something_has_more_credit() -> None:
    book = book_of(relied_on=frozenset([NODE]))
    tries = 0
    for number, peer in enumerate(IDS[10:50]):
        book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), NODE)
        tries += len(book.to_dial(peer))
    assert tries == CREDIT_OF_RELIED_ON.burst


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
        "/ip4/8.8.8.8/tcp/443",
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


def test_what_several_nodes_name_alike_is_one_dial() -> None:
    book = book_of()
    for number, peer in enumerate(IDS[:60]):
        for node in IDS[90:94]:
            book.named(peer, binary(f"/ip4/8.8.{number}.8/tcp/4001"), node)
        addresses = book.to_dial(peer)
        assert len(addresses) == 1
        book.reached(peer, addresses)


def test_named_addresses_are_dialled_at_a_bounded_pace() -> None:
    book = book_of()
    dials = 0
    for number in range(int(NAMED.burst) + 20):
        peer = KeyPair.from_seed(number.to_bytes(32, "big")).peer_id
        book.named(peer, binary(f"/ip4/8.{number % 250}.{number // 250}.8/tcp/4001"), IDS[number % 8])
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
