"""Real p2pd: our relay and our places fit libp2p's own circuits."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import PeerId
from swarmd.network import p2pd
from swarmd.network.interface import Reach, Way
from swarmd.network.reach.redials import OBSERVERS_MIN
from tests.network.test_network_p2p import eventually

pytestmark = pytest.mark.p2p
create = p2pd._create


async def without_a_door(**options: Any) -> Any:
    """A p2pd that listens nowhere, as one behind a router seems to."""
    return await create(**options | {"no_listen": True, "host_maddrs": None})


async def undialable(world: Any, number: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(p2pd, "_create", without_a_door)
        return await world.peer(number)


async def caller_of(relay: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A second such peer. If it listened, the hidden one could dial it directly at any moment."""
    caller = await undialable(world, 2, monkeypatch)
    assert await caller.network.connect(relay.network.addresses, named=True) == 1
    return caller


async def hidden_behind(relay: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A peer that nobody can dial, with a place at `relay`."""
    hidden = await undialable(world, 1, monkeypatch)
    reaching = hidden.network._reaching
    monkeypatch.setattr(reaching, "_needs_relays", lambda: True)  # on loopback it would give its places up
    assert await hidden.network.connect(relay.network.addresses, named=True) == 1
    await reaching._reservations.round(needed=True)
    return hidden


def test_a_peer_that_nobody_can_dial_is_reached_through_a_relay_and_bodies_come_that_way(
    p2p: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: Any) -> None:
        relay = await world.peer(0)
        hidden = await hidden_behind(relay, world, monkeypatch)
        assert hidden.network.statistics().reach.relays == (relay.network.peer_id,)
        assert relay.network.statistics().reach.places == 1
        through = hidden.network._reaching._reservations.addresses
        caller = await caller_of(relay, world, monkeypatch)
        address = f"{through[0]}/p2p/{hidden.network.peer_id}"
        assert await caller.network.connect([address], named=True) == 1
        body = world.record(hidden.key, world.clock())
        digest = hidden.hold(body)
        pulled = await caller.network.pull(hidden.network.peer_id, digest, len(body))
        assert (pulled.envelope, pulled.way) == (body, Way.RELAY)
        assert caller.network.statistics().ways == {Way.RELAY: 1}
        assert relay.network.statistics().reach.relayed_bytes > len(body)

    p2p.run(scenario)


def test_a_relayed_peer_that_delivers_is_dialled_again_so_that_libp2p_may_punch_a_hole(
    p2p: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: Any) -> None:
        relay = await world.peer(0)
        hidden = await hidden_behind(relay, world, monkeypatch)
        caller = await caller_of(relay, world, monkeypatch)
        through = hidden.network._reaching._reservations.addresses[0]
        await caller.network.connect([f"{through}/p2p/{hidden.network.peer_id}"], named=True)
        reaching = caller.network._reaching
        # a busy machine can look as if it had slept
        monkeypatch.setattr(reaching, "_forget_if_moved", lambda: None)
        for network in range(OBSERVERS_MIN):
            address = f"/ip4/5.45.{network}.10/tcp/41000"
            reaching._voices.heard(
                address, opened=False, seen_at="/ip4/5.45.9.10/tcp/41000", now=reaching._now()
            )
        session = await caller.network._supervisor.session()
        disconnected = []
        disconnect = session.disconnect

        async def disconnect_noted(peer: PeerId) -> None:
            disconnected.append(peer)
            await disconnect(peer)

        monkeypatch.setattr(session, "disconnect", disconnect_noted)
        await reaching._dial_again(session)
        assert disconnected == []  # it has delivered nothing yet
        monkeypatch.setattr(reaching, "_delivered", lambda _: 1)
        for _ in range(2):
            await reaching._dial_again(session)
        assert disconnected == [hidden.network.peer_id]
        assert "/p2p-circuit" in caller.network.statistics().connections[hidden.network.peer_id]
        monkeypatch.setattr(reaching._redials, "due", lambda *_, **__: hidden.network.peer_id)

        async def located(_: object) -> None:
            """The other side punched a hole since the connections were listed."""
            caller.network._neighbourhood.connections[hidden.network.peer_id] = "/ip4/5.45.8.10/tcp/41000"

        monkeypatch.setattr(caller.network._neighbourhood, "locate", located)
        await reaching._dial_again(session)
        assert disconnected == [hidden.network.peer_id]

    p2p.run(scenario)


def test_an_owner_who_does_not_want_to_relay_gives_no_place(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        owner = await world.peer(0, relay=False)
        hidden = await world.peer(1, to=owner)
        await hidden.network._reaching._reservations.round(needed=True)
        assert hidden.network.statistics().reach.relays == ()
        assert owner.network.statistics().reach.relay_refused == 1

    p2p.run(scenario)


def test_a_swarm_on_one_machine_is_not_called_broken_and_uses_no_relay(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        reaching = one.network._reaching

        async def located() -> bool:
            return other.network.peer_id in one.network.statistics().connections

        await eventually(located)
        assert not reaching._needs_relays()
        assert reaching._next() is None
        reach = one.network.statistics().reach
        assert (reach.state, reach.on_this_machine, reach.alone) == (Reach.UNKNOWN, True, False)

    p2p.run(scenario)
