"""A peer that speaks the DHT's messages but obeys no rules, against storing and reading nodes that do."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from protocol import body_key, compress_body, dht_id, digest_of
from swarmd.errors import NetworkError
from swarmd.network import Misbehaviour, PullFailedError
from swarmd.network.conduct import POINTS_MAX
from swarmd.network.streams import BODY_PROTOCOL, PLAIN_BODY_PROTOCOL

pytestmark = pytest.mark.p2p


class Liar:
    """Sends store messages past its own node's rules, packed as honest nodes pack them."""

    def __init__(self, peer: Any) -> None:
        self.session = peer.network._supervisor._session
        self.peer = peer

    async def store(
        self,
        victim: Any,
        key: bytes,
        value: bytes,
        expires: float,
        subkey: Any = None,
        **changes: Any,
    ) -> list[bool]:
        from hivemind.dht.routing import DHTID
        from hivemind.p2p import PeerID
        from hivemind.proto import dht_pb2
        from hivemind.utils import MSGPackSerializer

        protocol = self.session.dht
        fields = {
            "keys": [DHTID.generate(source=key).to_bytes()],
            "subkeys": [MSGPackSerializer.dumps(subkey)],
            "values": [MSGPackSerializer.dumps(value)],
            "expiration_time": [expires],
            "in_cache": [False],
            "peer": protocol.node_info,
        } | changes
        stub = protocol.get_stub(PeerID.from_base58(victim.network.peer_id))
        response = await stub.rpc_store(dht_pb2.StoreRequest(**fields), timeout=5)
        return list(response.store_ok)


def with_liar(scenario: Callable[[Any, Any, Liar], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def wrapped(world: Any) -> None:
        victim, peer = await world.swarm(2)
        await scenario(world, victim, Liar(peer))

    return wrapped


def test_an_honest_store_message_is_accepted(p2p: Any) -> None:
    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        now, key = world.clock(), liar.peer.key
        body = world.record(key, now)
        envelope = world.announcement(key, body, now)
        subkey = key.peer_id.encode() + digest_of(body)[:8]
        stored = await liar.store(victim, world.announcements_key, envelope, int(now) + 600, subkey)
        assert stored == [True]

    p2p.run(with_liar(scenario))


def test_what_is_not_what_it_says_is_refused_at_store_time(p2p: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POINTS_MAX, Misbehaviour.LIES, float("inf"))  # or the liar would soon be shunned

    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        now, key, stranger = world.clock(), liar.peer.key, world.key(99)
        end = int(now) + 600
        body = world.record(key, now)
        good = world.announcement(key, body, now)
        flipped = good[:-1] + bytes([good[-1] ^ 1])
        place, subkey = world.announcements_key, key.peer_id.encode() + digest_of(body)[:8]
        other = stranger.peer_id.encode() + digest_of(body)[:8]
        assert await liar.store(victim, place, b"junk", end, subkey) == [False]
        assert await liar.store(victim, place, flipped, end, subkey) == [False]
        assert await liar.store(victim, b"k" * 32, good, end, subkey) == [False]
        assert await liar.store(victim, place, good, end, other) == [False]
        assert await liar.store(victim, place, good, end, subkey + b"x") == [False]
        assert await liar.store(victim, place, good, end, "a string") == [False]
        assert await liar.store(victim, place, good, end, 7) == [False]
        assert await liar.store(victim, place, good, end + 1, subkey) == [False]
        assert await liar.store(victim, place, good, float("inf"), subkey) == [False]
        assert await liar.store(victim, place, good, float("nan"), subkey) == [False]
        assert await liar.store(victim, place, good, end) == [False]
        assert await liar.store(victim, place, b"junk", end, subkey, in_cache=[True]) == [False]
        assert await victim.network.read_announcements([place]) == []

    p2p.run(with_liar(scenario))


def test_a_plain_value_cannot_wipe_a_dictionary(p2p: Any) -> None:
    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        now = world.clock()
        own = world.announcement(victim.key, world.record(victim.key, now), now)
        assert await victim.network.announce([own]) == 1
        body = world.record(liar.peer.key, now)
        assert await liar.store(victim, world.announcements_key, body, int(now) + 600) == [False]
        assert await victim.network.read_announcements([world.announcements_key]) == [own]

    p2p.run(with_liar(scenario))


def test_a_plain_value_is_only_stored_under_its_own_digest(p2p: Any) -> None:
    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        now = world.clock()
        body, other = world.record(liar.peer.key, now, 1), world.record(liar.peer.key, now, 2)
        swarm = world.manifest.swarm_id
        end = int(now) + 600
        assert await liar.store(victim, body_key(swarm, digest_of(other)), body, end) == [False]
        assert await liar.store(victim, body_key(bytes(32), digest_of(body)), body, end) == [False]
        assert await liar.store(victim, body_key(swarm, digest_of(b"x")), b"x", end) == [False]
        assert await liar.store(victim, body_key(swarm, digest_of(body)), body, end + 1) == [False]
        assert await liar.store(victim, body_key(swarm, digest_of(body)), body, end) == [True]

    p2p.run(with_liar(scenario))


def test_whole_dictionaries_and_long_messages_are_refused(p2p: Any) -> None:
    from hivemind.p2p import P2PHandlerError

    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        assert await liar.store(victim, b"k", b"v", world.clock() + 60, subkeys=[b""]) == [False]
        many = {
            name: [value] * 65
            for name, value in {
                "keys": bytes(20),
                "subkeys": b"\xc0",
                "values": b"v",
                "expiration_time": world.clock() + 60,
                "in_cache": False,
            }.items()
        }
        with pytest.raises(P2PHandlerError, match="count"):
            await liar.store(victim, b"k", b"v", 0, **many)

    p2p.run(with_liar(scenario))


def test_junk_in_a_holders_dictionary_hides_nothing_from_a_reader(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        reader, liar = await world.swarm(2)
        now = world.clock()
        good = world.announcement(liar.key, world.record(liar.key, now), now)
        assert await liar.network.announce([good]) == 1
        liar.network._shelf.put_entry(dht_id(world.announcements_key), b"junk", b"\xc4\x01x", now + 600, now)
        fresh = await world.peer(2, to=liar)
        assert await fresh.network.read_announcements([world.announcements_key]) == [good]
        assert await reader.network.read_announcements([world.announcements_key]) == [good]

    p2p.run(scenario)


def test_a_peer_that_knows_no_swarm_stores_nothing_and_says_so(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        newcomer = await world.peer(1, to=first, swarm=lambda: None)
        own = world.announcement(first.key, world.record(first.key, world.clock()), world.clock())
        assert await first.network.announce([own]) == 1
        assert newcomer.network._shelf.bytes_held == 0
        with pytest.raises(NetworkError, match="before the swarm is known"):
            await newcomer.network.announce([own])

    p2p.run(scenario)


CUT_OFF = (b"", b"\x00\x00", b"\x00\x00\x00\x00\x0aabc")


def serve_instead(rogue: Any, reply: bytes) -> None:
    """Whatever body is asked of `rogue`, it writes `reply`; it closes early if the reply is cut off."""

    async def handler(_info: Any, reader: Any, writer: Any) -> None:
        writer.write(reply)
        await writer.drain()
        await reader.readexactly(32)
        if reply not in CUT_OFF:
            await reader.read()
        writer.close()

    handlers = rogue.network._supervisor._session._p2p._client.control.handlers
    handlers[BODY_PROTOCOL] = handlers[PLAIN_BODY_PROTOCOL] = handler


def compressed(body: bytes) -> bytes:
    sent = compress_body(body)
    return b"\0" + len(sent).to_bytes(4, "big") + sent


def test_a_server_that_breaks_off_or_lies_fails_the_pull_only(p2p: Any) -> None:
    lies = dict.fromkeys(CUT_OFF, "bytes read") | {
        b"\x00\xff\xff\xff\xff": "4294967295 bytes",
        b"\x07\x00\x00\x00\x00": "unknown status 7",
        b"\x02\x00\x00\x00\x00": "too many streams",
        b"\x00\x00\x00\x00\x03abc": "something else",
        compressed(b"abc"): "other bytes",
        compressed(bytes(300)): "more than 10 bytes",
    }

    async def scenario(world: Any) -> None:
        honest, rogue = await world.swarm(2)
        for reply, message in lies.items():
            serve_instead(rogue, reply)
            with pytest.raises(PullFailedError, match=message):
                await honest.network.pull(rogue.network.peer_id, bytes(32), 10)
        assert honest.network.statistics().pulls_failed == len(lies)
        body = world.record(honest.key, world.clock())
        assert (
            await rogue.network.pull(honest.network.peer_id, honest.hold(body), len(body))
        ).envelope == body

    p2p.run(scenario)


def test_the_inline_copy_replaces_a_lying_publisher(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        honest, rogue, third = await world.swarm(3)
        body = world.record(rogue.key, world.clock())
        assert await third.network.store_body(body)
        serve_instead(rogue, b"\x00\x00\x00\x00\x03abc")
        assert (await honest.network.pull(rogue.network.peer_id, digest_of(body), len(body))).envelope == body

    p2p.run(scenario)


def test_node_ids_of_ones_own_choice_get_no_place(p2p: Any) -> None:
    async def scenario(world: Any, victim: Any, liar: Liar) -> None:
        from hivemind.dht.routing import DHTID
        from hivemind.p2p import PeerID
        from hivemind.proto import dht_pb2

        chosen = DHTID.generate(source=world.announcements_key)
        protocol = liar.session.dht
        stub = protocol.get_stub(PeerID.from_base58(victim.network.peer_id))
        await stub.rpc_ping(dht_pb2.PingRequest(peer=dht_pb2.NodeInfo(node_id=chosen.to_bytes())), timeout=5)
        await victim.network.read_announcements([world.announcements_key])
        table = victim.network._supervisor._session.dht.routing_table
        assert chosen not in table
        assert protocol.node_id in table

    p2p.run(with_liar(scenario))


def test_a_peer_that_answers_a_greeting_with_nonsense_counts_as_one_that_does_not_answer(p2p: Any) -> None:
    from hivemind.proto import dht_pb2

    async def scenario(world: Any) -> None:
        victim, liar = await world.peer(0), await world.peer(1)
        handlers = liar.network._supervisor._session._p2p._client.control.unary_handlers
        for nonsense in (b"\xff", dht_pb2.PingResponse(dht_time=float("nan")).SerializeToString()):

            def answer(_data: bytes, _sender: bytes, answer: bytes = nonsense) -> bytes:
                return answer

            handlers["SwarmDHT.rpc_ping"] = answer
            assert await victim.network.connect(liar.network.addresses) == 0

    p2p.run(scenario)


@with_liar
async def _places_that_make_no_sense(world: Any, victim: Any, liar: Liar) -> None:
    """No error may escape from the tasks that hivemind starts and nobody awaits."""

    from hivemind.p2p import P2PHandlerError
    from hivemind.proto import dht_pb2

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    body = world.record(liar.peer.key, world.clock(), 1)
    false = dht_pb2.NodeInfo(node_id=b"\xff" * 21)
    expires = float(int(world.clock()) + 60)
    with pytest.raises(P2PHandlerError, match="key"):
        await liar.store(
            victim, body_key(world.manifest.swarm_id, digest_of(body)), body, expires, peer=false
        )
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


def test_a_sender_with_a_place_that_makes_no_sense_leaves_no_traceback(p2p: Any) -> None:
    p2p.run(_places_that_make_no_sense)


def nested_extensions(levels: int) -> bytes:
    import msgpack

    data = b"\x90"
    for _ in range(levels):
        data = msgpack.packb(msgpack.ExtType(0x50, data))
    return data


def test_a_search_survives_whatever_a_node_answers(p2p: Any) -> None:
    """Nested extensions ended the process; this peer's own id as a neighbour ended the daemon."""
    from hivemind.proto import dht_pb2

    async def scenario(world: Any) -> None:
        victim, liar, honest = await world.swarm(3)
        control = liar.network._supervisor._session._p2p._client.control
        own = world.announcement(honest.key, world.record(honest.key, world.clock()), world.clock())
        assert await honest.network.announce([own]) == 1
        place = victim.network._supervisor._session.dht
        this = {
            "nearest_node_ids": [place.node_id.to_bytes()],
            "nearest_peer_ids": [place.p2p.peer_id.to_bytes()],
        }
        nested = {"type": dht_pb2.FOUND_DICTIONARY, "value": nested_extensions(400)}
        for index, fields in enumerate((nested, this, {"type": 7}, {"nearest_node_ids": [b"id"]})):

            def answer(data: bytes, _sender: bytes, fields: Any = fields) -> bytes:
                results = [dht_pb2.FindResult(**fields) for _ in dht_pb2.FindRequest.FromString(data).keys]
                return dht_pb2.FindResponse(results=results).SerializeToString()

            control.unary_handlers["SwarmDHT.rpc_find"] = answer
            assert await victim.network.connect(liar.network.addresses) == 1
            assert own in await victim.network.read_announcements([world.announcements_key])
            body = world.record(victim.key, world.clock(), index)
            assert await victim.network.announce([world.announcement(victim.key, body, world.clock())]) == 1

    p2p.run(scenario)


def test_names_of_nobody_hide_no_peer_and_nobody_waits_for_them(p2p: Any) -> None:
    from hivemind.proto import dht_pb2

    async def scenario(world: Any) -> None:
        victim, liar, honest = await world.swarm(3)
        rng = random.Random(1)

        def name_nobody(data: bytes, _sender: bytes) -> bytes:
            names = [b"\x00$\x08\x01\x12 " + rng.randbytes(32) for _ in range(20)]
            result = dht_pb2.FindResult(
                nearest_node_ids=list(map(dht_id, names)), nearest_peer_ids=names, type=dht_pb2.NOT_FOUND
            )
            count = len(dht_pb2.FindRequest.FromString(data).keys)
            return dht_pb2.FindResponse(results=[result] * count).SerializeToString()

        control = liar.network._supervisor._session._p2p._client.control
        control.unary_handlers["SwarmDHT.rpc_find"] = name_nobody
        own = world.announcement(honest.key, world.record(honest.key, world.clock()), world.clock())
        assert await honest.network.announce([own]) == 1
        assert await victim.network.read_announcements([world.announcements_key]) == [own]
        assert victim.network.statistics().unheard == frozenset()

    p2p.run(scenario)


def test_a_status_with_the_doors_of_third_parties_has_few_of_them_knocked_at(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        knocks: list[int] = []

        async def door(_reader: Any, writer: Any) -> None:
            knocks.append(1)
            writer.close()

        servers = [await asyncio.start_server(door, "127.0.0.1", 0) for _ in range(24)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        peer = await world.peer(0)
        for number in range(6):  # as many names, eight addresses a status
            several = [ports[(8 * number + place) % len(ports)] for place in range(8)]
            stranger = world.key(50 + number).peer_id
            named = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{stranger}" for port in several]
            assert await peer.network.connect(named) == 0
            assert await peer.network.connect(named) == 0
        assert 0 < len(knocks) <= 12
        refused = peer.network.statistics().refused
        assert refused["dial_often"] + refused["dial_back_off"] == 6 * 2 * 8 - len(knocks)
        for server in servers:
            server.close()

    p2p.run(scenario)
