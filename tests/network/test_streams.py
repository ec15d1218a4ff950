"""Request and reply over a byte stream, both ends in one loop over a socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.interface import Standing
from swarmd.network.places import RESERVED, SILENT_S, STREAMS_PER_PEER, STREAMS_SERVED, Place, Places, Rank
from swarmd.network.streams import (
    MANIFEST_PROTOCOL,
    PLAIN_BODY_PROTOCOL,
    AbsentError,
    AskedStreams,
    BusyError,
    ReplyStatus,
    StreamServer,
    ask,
)

DIGEST = bytes(range(32))


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[Any, Any, Any, Any]]:
    """Reader and writer of the client, reader and writer of the server."""
    ours, theirs = socket.socketpair()
    client = await asyncio.open_connection(sock=ours)
    server = await asyncio.open_connection(sock=theirs)
    try:
        yield (*client, *server)
    finally:
        for writer in (client[1], server[1]):
            writer.close()


def server_with(bodies: dict[bytes, bytes]) -> StreamServer:
    server = StreamServer()
    server.serve(bodies.get, b"manifest")
    return server


async def test_a_body_is_asked_for_by_digest() -> None:
    server = server_with({DIGEST: b"body" * 10_000})
    async with pipe() as (reader, writer, *other), asyncio.TaskGroup() as group:
        group.create_task(server.answer(PLAIN_BODY_PROTOCOL, "peer", *other))
        assert await ask(reader, writer, DIGEST, bytes_max=40_000) == b"body" * 10_000


async def test_the_manifest_is_asked_for_by_opening_the_stream() -> None:
    async with pipe() as (reader, writer, *other), asyncio.TaskGroup() as group:
        group.create_task(server_with({}).answer(MANIFEST_PROTOCOL, "peer", *other))
        assert await ask(reader, writer, b"", bytes_max=8) == b"manifest"


async def test_an_empty_body_is_a_body() -> None:
    async with pipe() as (reader, writer, *other), asyncio.TaskGroup() as group:
        group.create_task(server_with({DIGEST: b""}).answer(PLAIN_BODY_PROTOCOL, "peer", *other))
        assert await ask(reader, writer, DIGEST, bytes_max=8) == b""


async def test_what_is_not_held_is_absent_before_and_after_serving_begins() -> None:
    for server in (StreamServer(), server_with({})):
        async with pipe() as (reader, writer, *other), asyncio.TaskGroup() as group:
            group.create_task(server.answer(PLAIN_BODY_PROTOCOL, "peer", *other))
            with pytest.raises(AbsentError):
                await ask(reader, writer, DIGEST, bytes_max=8)


async def test_the_server_closes_only_after_the_client_did() -> None:
    async with pipe() as (reader, writer, *other):
        serving = asyncio.get_running_loop().create_task(
            server_with({DIGEST: b"body"}).answer(PLAIN_BODY_PROTOCOL, "peer", *other)
        )
        writer.write(DIGEST)
        assert await reader.readexactly(9) == b"\x00\x00\x00\x00\x04body"
        assert not serving.done()
        assert not reader.at_eof()
        writer.close()
        await serving


async def test_a_stream_is_over_for_the_client_only_once_the_server_freed_its_place() -> None:
    server = server_with({DIGEST: b"body"})
    async with pipe() as (reader, writer, *other):
        serving = asyncio.get_running_loop().create_task(server.answer(PLAIN_BODY_PROTOCOL, "peer", *other))
        assert await ask(reader, writer, DIGEST, bytes_max=8) == b"body"
        assert len(server._places) == 0
        await serving
    async with pipe() as (reader, writer, *other):
        serving = asyncio.get_running_loop().create_task(server.answer(PLAIN_BODY_PROTOCOL, "peer", *other))
        with pytest.raises(AbsentError):
            await ask(reader, writer, bytes(32), bytes_max=8)
        assert len(server._places) == 0
        await serving


async def test_a_server_that_never_closes_withholds_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmd.network.streams.RECEIPT_SECONDS", 0.0)
    async with pipe() as (reader, writer, server_reader, server_writer):
        server_writer.write(b"\x00\x00\x00\x00\x04body")
        assert await ask(reader, writer, DIGEST, bytes_max=8) == b"body"
        assert await server_reader.readexactly(32) == DIGEST


async def test_a_client_that_breaks_off_ends_its_stream_only() -> None:
    server = server_with({DIGEST: b"body"})
    for sent in (b"", b"half a digest"):
        async with pipe() as (_, writer, *other):
            writer.write(sent)
            writer.close()
            await server.answer(PLAIN_BODY_PROTOCOL, "peer", *other)
    assert len(server._places) == 0


async def test_a_peer_with_too_many_streams_is_told_that_the_server_is_busy() -> None:
    server = server_with({DIGEST: b"body"})
    async with asyncio.TaskGroup() as group:
        held = []
        for _ in range(STREAMS_PER_PEER):
            end = pipe()
            _, writer, *other = await end.__aenter__()
            held.append((end, writer))
            group.create_task(server.answer(PLAIN_BODY_PROTOCOL, "greedy", *other))
        await asyncio.sleep(0)
        async with pipe() as (reader, writer, *other):
            group.create_task(server.answer(PLAIN_BODY_PROTOCOL, "greedy", *other))
            with pytest.raises(BusyError):
                await ask(reader, writer, DIGEST, bytes_max=8)
        async with pipe() as (reader, writer, *other):
            group.create_task(server.answer(PLAIN_BODY_PROTOCOL, "modest", *other))
            assert await ask(reader, writer, DIGEST, bytes_max=8) == b"body"
        for _, writer in held:
            writer.close()
    for end, _ in held:
        await end.__aexit__(None, None, None)
    assert len(server._places) == 0


class Clients:
    """Streams that open and say nothing, some from each peer."""

    def __init__(self, server: StreamServer, group: asyncio.TaskGroup) -> None:
        self._server, self._group = server, group
        self._ends: list[Any] = []

    async def open(self, peer: str, standing: Standing = Standing.STRANGER) -> asyncio.StreamReader:
        end = pipe()
        reader, writer, *other = await end.__aenter__()
        self._ends.append((end, writer))
        self._group.create_task(self._server.answer(PLAIN_BODY_PROTOCOL, peer, *other, standing))
        await asyncio.sleep(0)
        return reader

    async def close(self) -> None:
        for end, writer in self._ends:
            writer.close()
            await end.__aexit__(None, None, None)


async def test_17_strangers_with_4_silent_streams_each_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmd.network.places.SILENT_S", 0.0)
    server = server_with({DIGEST: b"body"})
    async with asyncio.TaskGroup() as group:
        clients = Clients(server, group)
        for number in range(17 * STREAMS_PER_PEER):
            await clients.open(f"silent {number % 17}")
        assert len(server._places) == RESERVED[Rank.STRANGER]
        for standing in (Standing.STRANGER, Standing.MET, Standing.KNOWN):
            for number in range(20):
                async with pipe() as (reader, writer, *other):
                    group.create_task(
                        server.answer(PLAIN_BODY_PROTOCOL, f"{standing} {number}", *other, standing)
                    )
                    assert await ask(reader, writer, DIGEST, bytes_max=8) == b"body"
        await clients.close()
    assert len(server._places) == 0


async def test_what_strangers_take_leaves_places_for_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmd.network.places.SILENT_S", float("inf"))
    monkeypatch.setattr("swarmd.network.streams.REQUEST_SECONDS", 60.0)
    server = server_with({DIGEST: b"body"})
    async with asyncio.TaskGroup() as group:
        clients = Clients(server, group)
        for standing, places in ((Standing.STRANGER, 32), (Standing.MET, 44), (Standing.KNOWN, 64)):
            for number in range(STREAMS_SERVED):
                await clients.open(f"{standing} {number}", standing)
            assert len(server._places) == places
        assert (await (await clients.open("one more")).readexactly(5))[0] == ReplyStatus.BUSY
        await clients.close()


class Deadline(asyncio.Timeout):
    """One that nobody waits for."""

    def __init__(self) -> None:
        super().__init__(None)

    def expired(self) -> bool:
        return False

    def reschedule(self, when: float | None) -> None:
        pass


async def test_a_full_server_gives_up_a_silent_place_of_whoever_has_many_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0], raising=False)
    places = Places()
    with ExitStack() as stack:

        def take(peer: str) -> Place | None:
            return stack.enter_context(places.take(peer, Rank.STRANGER, Deadline()))

        many = [take("many") for _ in range(STREAMS_PER_PEER)]
        few = [take(f"few {number}") for number in range(RESERVED[Rank.STRANGER] - STREAMS_PER_PEER)]
        clock[0] = SILENT_S / STREAMS_PER_PEER - 0.01
        assert take("too early") is None
        clock[0] = SILENT_S / STREAMS_PER_PEER
        assert take("in time") is not None
        assert [place.given_up for place in many if place] == [True, False, False, False]
        assert not any(place.given_up for place in few if place)


async def test_what_connected_peers_take_leaves_places_for_those_that_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmd.network.places.SILENT_S", float("inf"))
    monkeypatch.setattr("swarmd.network.streams.REQUEST_SECONDS", 60.0)
    server = StreamServer(lambda peer: peer.startswith("delivered"))
    async with asyncio.TaskGroup() as group:
        clients = Clients(server, group)
        for number in range(STREAMS_SERVED):
            await clients.open(f"connected {number}", Standing.MET)
        for number in range(STREAMS_SERVED):
            await clients.open(f"delivered {number}", Standing.MET)
        assert len(server._places) == RESERVED[Rank.DELIVERED] > RESERVED[Rank.MET]
        await clients.close()


def test_a_rank_follows_the_standing_and_a_delivery_lifts_only_a_met_peer() -> None:
    assert [Rank.of(one, delivered=False).name for one in Standing] == [one.name for one in Standing]
    lifted = [one for one in Standing if Rank.of(one, delivered=True) != Rank.of(one, delivered=False)]
    assert lifted == [Standing.MET]


async def test_a_client_that_sends_no_request_loses_its_place_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmd.network.streams.REQUEST_SECONDS", 0.0)
    server = server_with({DIGEST: b"body"})
    async with pipe() as (reader, _, *other):
        await server.answer(PLAIN_BODY_PROTOCOL, "silent", *other)
        assert await reader.read() == b""
    assert len(server._places) == 0


async def test_a_reply_larger_than_allowed_is_not_read() -> None:
    async with pipe() as (reader, writer, *other), asyncio.TaskGroup() as group:
        group.create_task(server_with({DIGEST: b"body"}).answer(PLAIN_BODY_PROTOCOL, "peer", *other))
        with pytest.raises(NetworkError, match="offers 4 bytes where at most 3"):
            await ask(reader, writer, DIGEST, bytes_max=3)


async def test_streams_asked_of_one_peer_at_once_are_bounded() -> None:
    asked, open_now, most = AskedStreams(), 0, 0

    async def one() -> None:
        nonlocal open_now, most
        async with asked.place(PeerId("peer")):
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0)
            open_now -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(3 * STREAMS_PER_PEER):
            group.create_task(one())
    assert most == STREAMS_PER_PEER
    assert len(asked._of_peer) == 0
