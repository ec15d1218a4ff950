"""The local network: whoever answers is a stranger; only private addresses of this swarm's peers count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

import pytest
import zeroconf.asyncio

from swarmd.finding import lan
from swarmd.finding.lan import AGAIN_S, REMEMBERED_MAX, Heard, LocalNetwork, Self, private_ips, read_answer
from swarmd.network import run_simulated
from tests.finding.making import AUTHOR, PEER, STRANGER

ME = Self(AUTHOR.peer_id, bytes(range(32)), 41_000)
OTHER = Self(PEER.peer_id, bytes(range(32)), 41_001)
ANSWER = {name.encode(): value.encode() for name, value in OTHER.properties.items()}


def read(ip: str = "192.168.1.7", port: int | None = 41_001, **changed: bytes | None) -> tuple[str, ...]:
    properties: Mapping[bytes, bytes | None] = ANSWER | {
        name.encode(): each for name, each in changed.items()
    }
    return read_answer(ME, properties, [ip], port)


def test_a_peer_of_this_swarm_is_read_with_its_addresses():
    assert read() == (f"/ip4/192.168.1.7/tcp/41001/p2p/{PEER.peer_id}",)
    assert read("fd00::7") == (f"/ip6/fd00::7/tcp/41001/p2p/{PEER.peer_id}",)


@pytest.mark.parametrize(
    "changed",
    [
        {"swarm": b"00" * 8},
        {"swarm": None},
        {"peer": AUTHOR.peer_id.encode()},
        {"peer": b"12D3KooW"},
        {"peer": b"\xff\xfe"},
        {"peer": None},
        {"port": 0},
        {"port": None},
        {"port": 70_000},
        {"ip": "8.8.8.8"},
        {"ip": "127.0.0.1"},
        {"ip": "169.254.1.1"},
        {"ip": "fe80::1%eth0"},
        {"ip": "0.0.0.0"},  # noqa: S104  an answer that names every address of a machine
        {"ip": "router.local"},
    ],
    ids=str,
)
def test_another_swarm_this_peer_itself_and_nonsense_are_left_alone(changed):
    assert read(**changed) == ()


def test_of_many_addresses_a_few_count():
    many = [f"192.168.1.{number}" for number in range(1, 100)]
    found = read_answer(ME, ANSWER, many, 41_001)
    assert len(found) == lan.READ_MAX
    assert len(Heard().due(found, 0.0)) == lan.ADDRESSES_MAX


def test_an_address_is_dialled_once_in_a_while_however_often_it_is_heard():
    heard = Heard()
    assert heard.due(read(), 0.0) == read()
    assert heard.due(read(), AGAIN_S - 1) == ()
    assert heard.due(read(), AGAIN_S) == read()
    assert heard.due((), AGAIN_S) == ()


def test_a_false_address_under_a_peers_id_does_not_keep_the_true_one_from_being_dialled():
    heard, true = Heard(), "192.168.1.7"
    false = [f"192.168.1.{number}" for number in range(100, 100 + lan.ADDRESSES_MAX)]
    spoofed = read_answer(ME, ANSWER, false, 41_001)
    assert heard.due(spoofed, 0.0) == spoofed
    assert heard.due(read(true), 1.0) == read(true)
    merged = read_answer(ME, ANSWER, [*false, "192.168.1.8"], 41_001)
    assert heard.due(merged, 2.0) == read("192.168.1.8")


def test_the_memory_of_who_was_dialled_is_bounded_and_the_oldest_is_forgotten():
    heard = Heard()
    ports = range(1, REMEMBERED_MAX + 2)
    several = [(f"/ip4/192.168.1.7/tcp/{port}/p2p/{PEER.peer_id}",) for port in ports]
    assert all(heard.due(addresses, 0.0) for addresses in several)
    assert heard.due(several[0], 1.0)
    assert not heard.due(several[-1], 1.0)


def test_only_private_addresses_are_told():
    own = [
        "/ip4/192.168.1.7/tcp/1/p2p/x", "/ip4/127.0.0.1/tcp/1/p2p/x", "/ip4/8.8.8.8/tcp/1/p2p/x",
        "/ip6/fd00::2/tcp/1/p2p/x", "/ip6/::1/tcp/1/p2p/x", "/dns4/a.org/tcp/1/p2p/x",
        "/ip4/192.168.1.7/udp/1/quic-v1/p2p/x",
    ]  # fmt: skip
    assert private_ips(own) == ["192.168.1.7", "fd00::2"]


class Mdns:
    """Stands for `AsyncZeroconf`: notes on which interfaces it speaks, and how often it was closed."""

    spoken: ClassVar[list[list[str]]]
    closed: ClassVar[int]

    def __init__(self, *, interfaces: list[str], **_: object) -> None:
        self.spoken.append(interfaces)
        self.zeroconf = None

    async def async_register_service(self, _info: object) -> None:
        pass

    async def async_close(self) -> None:
        Mdns.closed += 1


class Browser:
    """Stands for `AsyncServiceBrowser`."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def async_cancel(self) -> None:
        pass


def in_networks(seconds_and_ips: list[tuple[float, list[str]]]) -> list[str]:
    """Discover in one network after another, in simulated time. Returns the warnings."""
    ips: list[str] = []
    warnings: list[str] = []
    discovery = LocalNetwork(ME, lambda: list(ips), lambda _: pytest.fail("nobody"), warnings.append)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(discovery.run())
            for seconds, own in seconds_and_ips:
                ips[:] = own
                await asyncio.sleep(seconds)
            running.cancel()

    run_simulated(main())
    return warnings


def test_a_machine_that_moves_to_another_network_announces_and_browses_there(monkeypatch):
    Mdns.spoken, Mdns.closed = [], 0
    monkeypatch.setattr(zeroconf.asyncio, "AsyncZeroconf", Mdns)
    monkeypatch.setattr(zeroconf.asyncio, "AsyncServiceBrowser", Browser)
    home, cafe = ["192.168.1.7", "fd00::7"], ["10.0.0.2"]
    assert in_networks([(100, []), (1_000, home), (100, []), (1_000, cafe)]) == []
    assert (Mdns.spoken, Mdns.closed) == ([["192.168.1.7"], ["10.0.0.2"]], 2)


def test_without_multicast_there_is_one_line_in_each_network_and_no_error(monkeypatch):
    def refuse(**_):
        raise OSError(19, "No such device")

    monkeypatch.setattr(zeroconf.asyncio, "AsyncZeroconf", refuse)
    warnings = in_networks([(1_000, ["192.168.1.7"]), (1_000, ["10.0.0.2"])])
    assert len(warnings) == 2
    assert "mDNS does not work here" in warnings[0]


@pytest.mark.p2p
async def test_two_peers_of_one_swarm_hear_each_other_and_another_swarm_is_silent(monkeypatch):
    """Real packets, on loopback."""
    monkeypatch.setattr(lan, "_is_private", lambda ip: ip == "127.0.0.1")
    monkeypatch.setattr(lan, "LOOK_EVERY_S", 0.01)
    met: dict[str, list[str]] = {name: [] for name in ("me", "other", "stranger")}
    both = asyncio.Event()

    def peer(name: str, me: Self) -> LocalNetwork:
        async def dial(addresses) -> None:
            met[name] += addresses
            if met["me"] and met["other"]:
                both.set()

        return LocalNetwork(me, lambda: ["127.0.0.1"], dial, pytest.fail)

    async with asyncio.TaskGroup() as group:
        stranger = Self(STRANGER.peer_id, bytes(32), 41_002)
        running = [
            group.create_task(peer(name, each).run())
            for name, each in (("stranger", stranger), ("me", ME), ("other", OTHER))
        ]
        await both.wait()
        for task in running:
            task.cancel()
    assert met == {
        "me": [f"/ip4/127.0.0.1/tcp/41001/p2p/{PEER.peer_id}"],
        "other": [f"/ip4/127.0.0.1/tcp/41000/p2p/{AUTHOR.peer_id}"],
        "stranger": [],
    }
