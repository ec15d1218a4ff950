"""A peer that is known only by its name is dialled at the address that came with the name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from protocol import KeyPair
from swarmd.network import run_simulated
from swarmd.network.address_book import AddressBook
from swarmd.network.binary_addresses import write_address
from swarmd.network.peer_ids import write_peer_id

control = pytest.importorskip("swarmd.network.control")
introducing = pytest.importorskip("swarmd.network.introducing")

PEER, NODE = (KeyPair.from_seed(bytes([number]) * 32).peer_id for number in (1, 2))
AT = write_address("/ip4/8.8.8.8/tcp/4001")


class FakeControl:
    """p2pd dials; `outcome` is what comes of it after `seconds`."""

    def __init__(self, seconds: float = 0.1, outcome: Exception | None = None) -> None:
        self.seconds, self.outcome = seconds, outcome
        self.dialled: list[list[bytes]] = []

    async def dial(self, _peer: bytes, addresses: Sequence[bytes]) -> None:
        self.dialled.append(list(addresses))
        await asyncio.sleep(self.seconds)
        if self.outcome is not None:
            raise self.outcome


def introduced(fake: FakeControl, *, named: int = 1) -> tuple[AddressBook, float]:
    """The book after introducing a peer that was named so many times, and the seconds that it took."""

    async def scenario() -> tuple[AddressBook, float]:
        loop = asyncio.get_running_loop()
        book = AddressBook(lambda _peer: False, loop.time)
        for _ in range(named):
            book.named(PEER, AT, NODE)
            await introducing.introduce(cast(Any, fake), book, PEER)
        return book, loop.time()

    began = run_simulated(_time())
    book, ended = run_simulated(scenario())
    return book, ended - began


async def _time() -> float:
    return asyncio.get_running_loop().time()


def test_a_peer_without_a_known_address_is_left_to_p2pd() -> None:
    fake = FakeControl()
    introduced(fake, named=0)
    assert fake.dialled == []


def test_a_named_peer_is_dialled_and_then_connected() -> None:
    fake = FakeControl()
    introduced(fake, named=3)
    assert fake.dialled == [[AT]]


@pytest.mark.parametrize(
    "fake", [FakeControl(outcome=control.P2PDaemonError("refused")), FakeControl(seconds=60.0)]
)
def test_where_nobody_answers_the_call_goes_on_soon_and_the_address_is_left_alone(fake: FakeControl) -> None:
    _, took = introduced(fake, named=3)
    assert fake.dialled == [[AT]]
    assert took <= introducing.INTRODUCTION_SECONDS


@pytest.mark.p2p
@pytest.mark.parametrize("told_right", [True, False])
def test_a_peer_is_reached_where_a_node_says_that_it_is_and_elsewhere_if_that_is_false(
    p2p: Any, monkeypatch: Any, told_right: bool
) -> None:
    false = write_address("/ip4/127.0.0.9/tcp/4001")
    dials: list[tuple[bytes, list[bytes]]] = []
    dial = control.Control.dial

    async def noted(self: Any, peer: bytes, addresses: Sequence[bytes]) -> None:
        dials.append((peer, list(addresses)))
        await dial(self, peer, addresses)

    async def scenario(world: Any) -> None:
        hub, other, newcomer = await world.swarm(3)
        await _located(hub)
        name, at = other.network.peer_id, other.network.addresses[0].partition("/p2p/")[0]
        assert hub.network._book.address_of(name) == write_address(at)
        if not told_right:
            monkeypatch.setattr(hub.network._book, "address_of", lambda _peer: false)
        session = await newcomer.network._supervisor.session()
        book = newcomer.network._book
        await newcomer.network.disconnect(name)  # p2pd connects to everybody in a swarm this small
        book._proven.clear()
        book._connections.clear()
        await session.dht.find(PeerID.from_base58(hub.network.peer_id), [bytes(20)])
        monkeypatch.setattr(control.Control, "dial", noted)
        assert await newcomer.network.ping(name) > 0
        assert dials == [(write_peer_id(name), [write_address(at) if told_right else false])]

    from hivemind.p2p import PeerID

    p2p.run(scenario)


async def _located(peer: Any) -> None:
    """Wait until a peer has looked at its connections, as it does every few seconds."""
    session = await peer.network._supervisor.session()
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        await peer.network._neighbourhood.refresh(session)
        if len(peer.network._neighbourhood.connections) >= 2:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the peers did not connect")
