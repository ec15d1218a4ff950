"""Which addresses that strangers name are dialled: nobody can make the swarm knock where they like."""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import KeyPair, PeerId
from swarmd.addresses import PeerAddress, parse_peer_address
from swarmd.network.dialling import (
    ADDRESSES_MAX,
    AT_ONCE_MAX,
    BACK_OFF_S,
    BACK_OFF_S_MAX,
    NEVER_MET,
    PEER,
    TARGET,
    Dialling,
    Refused,
    is_reachable,
)
from swarmd.network.interface import Standing

IDS = [KeyPair.from_seed(bytes([number]) * 32).peer_id for number in range(60)]
PUBLIC, LAN, LOOPBACK = "/ip4/8.8.8.8/tcp/4000", "/ip4/192.168.7.2/tcp/4000", "/ip4/127.0.0.1/tcp/4000"


def address(transport: str, peer: PeerId = IDS[0]) -> PeerAddress:
    return parse_peer_address(f"{transport}/p2p/{peer}")


def refused(transport: str, *own: str, standing: Standing = Standing.STRANGER) -> Refused | None:
    choice = Dialling().choose([address(transport)], own=own, standing=standing, now=0.0)
    return choice.refused[0] if choice.refused else None


@pytest.mark.parametrize("host", ["8.8.8.8", "2a00:1450:4001:81b::200e"])
def test_public_addresses_are_dialled_from_everywhere(host: str) -> None:
    for own in ([], [PUBLIC], [LAN], [LOOPBACK]):
        assert is_reachable(ipaddress.ip_address(host), own)


@pytest.mark.parametrize(
    "host",
    [
        "0.1.2.3",
        "169.254.169.254",
        "192.0.2.7",
        "198.51.100.7",
        "203.0.113.7",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "2001:db8::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_an_address_that_no_peer_can_have_is_never_dialled(host: str) -> None:
    for own in ([], [PUBLIC], [LAN], [LOOPBACK], [f"/ip4/{host}/tcp/4000"] if "." in host[:4] else []):
        assert not is_reachable(ipaddress.ip_address(host), own)


def test_loopback_is_dialled_only_by_a_peer_that_is_nowhere_else() -> None:
    assert refused(LOOPBACK, LOOPBACK) is None
    for own in ([], [PUBLIC], [LAN], [LOOPBACK, LAN], [LOOPBACK, PUBLIC]):
        assert refused(LOOPBACK, *own, standing=Standing.KNOWN) == Refused.RANGE


@pytest.mark.parametrize(
    ("host", "neighbour", "stranger"),
    [
        ("192.168.7.9", LAN, "/ip4/192.168.8.2/tcp/4000"),
        ("10.1.2.3", "/ip4/10.1.2.77/udp/4000/quic-v1", "/ip4/10.2.2.77/tcp/4000"),
        ("100.64.0.9", "/ip4/100.64.0.7/tcp/4000", PUBLIC),
        ("fd00::9", "/ip6/fd00::7/tcp/4000", "/ip6/fd00:0:0:1::7/tcp/4000"),
    ],
)
def test_private_addresses_are_only_dialled_on_the_same_network(
    host: str, neighbour: str, stranger: str
) -> None:
    ip = ipaddress.ip_address(host)
    assert is_reachable(ip, [PUBLIC, neighbour])
    assert not is_reachable(ip, [PUBLIC, stranger])
    assert not is_reachable(ip, [])


def test_names_and_privileged_ports_are_not_dialled() -> None:
    assert refused("/dns4/example.org/tcp/4000") == Refused.NAME
    for port in (1, 22, 25, 53, 80, 443, 1_023):
        assert refused(f"/ip4/8.8.8.8/tcp/{port}") == Refused.PORT
    for port in (1_024, 65_535):
        assert refused(f"/ip4/8.8.8.8/tcp/{port}") is None


def test_a_peer_behind_a_firewall_is_dialled_at_its_port_once_it_was_met() -> None:
    address = "/ip4/8.8.8.8/tcp/443"
    assert refused(address, standing=Standing.MET) is None
    assert refused("/ip4/8.8.8.8/tcp/80", standing=Standing.MET) == Refused.PORT


def test_a_relay_is_judged_as_what_is_dialled() -> None:
    relayed = "/ip4/{}/tcp/4000/p2p/" + IDS[1] + "/p2p-circuit"
    assert refused(relayed.format("8.8.8.8")) is None
    assert refused(relayed.format("192.168.1.1")) == Refused.RANGE


def test_a_peer_gets_few_dials_at_once_and_few_per_hour() -> None:
    dialling = Dialling()
    many = [address(f"/ip4/8.8.{number}.8/tcp/4000") for number in range(8)]
    first = dialling.choose(many, own=[], standing=Standing.KNOWN, now=0.0)
    assert first.dial == tuple(many[:AT_ONCE_MAX])
    assert set(first.refused) == {Refused.OFTEN}
    dials = sum(
        len(dialling.choose(many, own=[], standing=Standing.KNOWN, now=float(now)).dial)
        for now in range(0, 3_600, 20)
    )
    assert dials <= PEER.burst + PEER.per_second * 3_600


def test_all_names_together_make_a_peer_dial_a_third_party_a_few_times_per_hour() -> None:
    dialling, knocks = Dialling(), Counter[str]()
    for now in range(3_600):
        peer = IDS[now % len(IDS)]
        host = f"8.8.8.{now % 3}"
        named = [address(f"/ip4/{host}/tcp/{2_000 + now + port}", peer) for port in range(8)]
        for dialled in dialling.choose(named, own=[], standing=Standing.STRANGER, now=float(now)).dial:
            knocks[host] += 1
            dialling.failed(dialled, float(now))
    assert max(knocks.values()) <= TARGET.burst + TARGET.per_second * 3_600


def test_strangers_get_few_dials_per_minute_and_peers_met_before_are_not_counted() -> None:
    dialling = Dialling()
    dials = 0
    for number in range(600):
        named = [address(f"/ip4/8.{number % 200}.{number % 7}.8/tcp/4000", IDS[number % 60])]
        dials += len(dialling.choose(named, own=[], standing=Standing.STRANGER, now=number / 10).dial)
    assert dials <= NEVER_MET.burst + NEVER_MET.per_second * 60
    friend = [address(PUBLIC, KeyPair.from_seed(b"f" * 32).peer_id)]
    assert dialling.choose(friend, own=[], standing=Standing.MET, now=60.0).dial == tuple(friend)


def test_what_failed_is_tried_later_and_later_until_it_answers() -> None:
    dialling, one = Dialling(), address(PUBLIC)
    now = 0.0
    for times in range(10):
        dialling.failed(one, now)
        lasts = min(BACK_OFF_S * 2**times, BACK_OFF_S_MAX)
        early = dialling.choose([one], own=[], standing=Standing.KNOWN, now=now + lasts - 1)
        assert early.refused == (Refused.BACK_OFF,)
        now += lasts
    now += 3_600
    assert dialling.choose([one], own=[], standing=Standing.KNOWN, now=now).dial == (one,)
    dialling.answered(one)
    assert dialling.choose([one], own=[], standing=Standing.KNOWN, now=now).dial == (one,)


def test_failures_remembered_are_bounded() -> None:
    dialling = Dialling()
    for number in range(ADDRESSES_MAX + 5):
        dialling.failed(PeerAddress(f"/ip4/8.8.8.8/tcp/{number}/p2p/x", IDS[0]), 0.0)
    assert len(dialling._failures) == ADDRESSES_MAX


@given(st.ip_addresses(), st.lists(st.ip_addresses(), max_size=4))
def test_every_address_has_a_verdict_and_public_ones_do_not_depend_on_ones_own(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, own: list[ipaddress.IPv4Address]
) -> None:
    mine = [f"/ip{one.version}/{one}/tcp/4000" for one in own]
    if is_reachable(ip, []):
        assert ip.is_global
        assert is_reachable(ip, mine)


def test_what_leads_through_a_relay_that_is_connected_may_stand_anywhere() -> None:
    relay = IDS[1]
    for host in ("192.168.7.2/tcp/4000", "8.8.8.8/tcp/443"):
        relayed = address(f"/ip4/{host}/p2p/{relay}/p2p-circuit")
        far = Dialling().choose([relayed], own=[], standing=Standing.STRANGER, now=0.0)
        near = Dialling().choose([relayed], own=[], standing=Standing.STRANGER, now=0.0, relays={relay})
        assert (far.dial, near.dial) == ((), (relayed,))
