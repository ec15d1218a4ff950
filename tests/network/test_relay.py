"""A relay: places, circuits and their bounds, over streams in memory and in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network import run_simulated
from swarmd.network.delimited import read_delimited
from swarmd.network.interface import Standing
from swarmd.network.reach.circuit import MESSAGE_BYTES_MAX, Hop, Kind, Status, Stop, with_length
from swarmd.network.reach.relay import (
    CIRCUITS_OF_GROUP_MAX,
    CIRCUITS_OF_GROUP_TO_PEER_MAX,
    CIRCUITS_OF_PEER_MAX,
    LIMIT,
    LISTED_S,
    PLACE_S,
    PLACES_MAX,
    PLACES_OF_GROUP_MAX,
    Relay,
)
from swarmd.network.reach.waiting import WAITING_MAX, WAITING_OF_GROUP_MAX
from tests.network.conftest import key_of

HIDDEN, CALLER = key_of(0).peer_id, key_of(1).peer_id
Ends = tuple[asyncio.StreamReader, "Writer"]


class Writer:
    """The sending end of a pipe in memory, as much of a StreamWriter as is used."""

    def __init__(self, to: asyncio.StreamReader) -> None:
        self._to = to
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._to.feed_data(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._to.feed_eof()


def pair() -> tuple[Ends, Ends]:
    """Two ends of a stream."""
    one, other = asyncio.StreamReader(), asyncio.StreamReader()
    return (one, Writer(other)), (other, Writer(one))


class Stand:
    """A relay with the peers around it."""

    def __init__(self, *, enabled: bool = True, bytes_per_s: int = 2**20) -> None:
        self.connections: dict[PeerId, str] = {HIDDEN: "/ip4/8.8.8.8/tcp/1", CALLER: "/ip4/9.9.9.9/tcp/1"}
        self.accepts: Status | None = Status.OK
        self.behind: list[Ends] = []
        loop = asyncio.get_running_loop()
        self.relay = Relay(
            lambda: self.connections,
            self.open_stop,  # type: ignore[arg-type]  # pipes in memory
            enabled=enabled,
            monotonic=loop.time,
            bytes_per_s=bytes_per_s,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def open_stop(self, target: PeerId) -> Ends:
        if self.accepts is None:
            raise NetworkError("it is not there")
        ours, theirs = pair()
        self.behind.append(theirs)
        theirs[1].write(with_length(Stop(status=self.accepts)))
        return ours

    def open(self, peer: PeerId, address: str, standing: Standing = Standing.MET) -> tuple[Ends, Ends]:
        """A stream of `peer` on which it has said nothing yet: its end, and the relay's."""
        ours, theirs = pair()
        serving = self.relay.serve(peer, address, theirs[0], theirs[1], standing)  # type: ignore[arg-type]
        self._tasks.append(asyncio.get_running_loop().create_task(serving))
        return ours, theirs

    async def ask(
        self, peer: PeerId, message: Hop, standing: Standing = Standing.MET, address: str | None = None
    ) -> tuple[Hop, Ends]:
        ours = self.open(peer, address or self.connections[peer], standing)[0]
        ours[1].write(with_length(message))
        return Hop.read(await read_delimited(ours[0], MESSAGE_BYTES_MAX)), ours

    async def reserve(
        self, peer: PeerId, standing: Standing = Standing.MET, address: str | None = None
    ) -> Status:
        answer, (_, writer) = await self.ask(peer, Hop(Kind.RESERVE), standing, address)
        writer.close()
        return answer.status

    async def connect(self, caller: PeerId = CALLER) -> tuple[Status, Ends]:
        answer, ends = await self.ask(caller, Hop(Kind.CONNECT, peer=HIDDEN))
        return answer.status, ends

    async def close(self) -> None:
        for _, writer in self.behind:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def run(scenario: Callable[[Stand], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        stand = Stand(**options)  # type: ignore[arg-type]
        try:
            await scenario(stand)
        finally:
            await stand.close()

    run_simulated(main())


def test_bytes_pass_both_ways_between_a_caller_and_the_holder_of_a_place() -> None:
    async def scenario(stand: Stand) -> None:
        assert await stand.reserve(HIDDEN) is Status.OK
        status, (reader, writer) = await stand.connect()
        assert status is Status.OK
        [(far_reader, far_writer)] = stand.behind
        told = Stop.read(await read_delimited(far_reader, MESSAGE_BYTES_MAX))
        assert (told.peer, told.limit) == (CALLER, LIMIT)
        writer.write(b"there")
        assert await far_reader.readexactly(5) == b"there"
        far_writer.write(b"back")
        assert await reader.readexactly(4) == b"back"
        counts = stand.relay.counts()
        assert (counts.places, counts.circuits, counts.bytes_passed) == (1, 1, 9)
        far_writer.close()
        assert await reader.read() == b""
        assert stand.relay.counts().circuits == 0

    run(scenario)


def test_whoever_holds_no_place_is_not_called() -> None:
    async def scenario(stand: Stand) -> None:
        assert (await stand.connect())[0] is Status.NO_RESERVATION
        assert stand.behind == []
        assert await stand.reserve(HIDDEN) is Status.OK
        stand.accepts = None
        assert (await stand.connect())[0] is Status.CONNECTION_FAILED
        stand.accepts = Status.RESOURCE_LIMIT_EXCEEDED
        assert (await stand.connect())[0] is Status.CONNECTION_FAILED

    run(scenario)


def test_a_place_ends_with_its_time_and_with_the_connection() -> None:
    async def scenario(stand: Stand) -> None:
        await stand.reserve(HIDDEN)
        await asyncio.sleep(PLACE_S - 1)
        assert stand.relay.counts().places == 1
        await asyncio.sleep(1)
        assert (await stand.connect())[0] is Status.NO_RESERVATION
        await stand.reserve(HIDDEN)
        del stand.connections[HIDDEN]
        await asyncio.sleep(LISTED_S)
        assert (await stand.connect())[0] is Status.NO_RESERVATION

    run(scenario)


def test_a_peer_that_has_just_connected_keeps_its_place_until_connections_are_listed_again() -> None:
    async def scenario(stand: Stand) -> None:
        address = stand.connections.pop(HIDDEN)
        await stand.reserve(HIDDEN, address=address)
        assert stand.relay.counts().places == 1
        stand.connections[HIDDEN] = address
        await asyncio.sleep(LISTED_S)
        assert (await stand.connect())[0] is Status.OK

    run(scenario)


def test_an_owner_who_does_not_want_to_relay_gives_no_places() -> None:
    async def scenario(stand: Stand) -> None:
        assert await stand.reserve(HIDDEN) is Status.PERMISSION_DENIED
        assert (await stand.connect())[0] is Status.PERMISSION_DENIED
        assert stand.relay.counts().refused == 2

    run(scenario, enabled=False)


def test_places_are_bounded_in_all_and_for_one_network() -> None:
    async def scenario(stand: Stand) -> None:
        neighbours = [key_of(number).peer_id for number in range(100, 100 + PLACES_OF_GROUP_MAX + 1)]
        stand.connections |= {peer: f"/ip4/7.7.7.{n}/tcp/1" for n, peer in enumerate(neighbours)}
        given = [await stand.reserve(peer) for peer in neighbours]
        assert given == [Status.OK] * PLACES_OF_GROUP_MAX + [Status.RESERVATION_REFUSED]
        others = [key_of(number).peer_id for number in range(200, 200 + PLACES_MAX)]
        stand.connections |= {peer: f"/ip4/6.6.{n}.1/tcp/1" for n, peer in enumerate(others)}
        assert [await stand.reserve(peer) for peer in others].count(Status.OK) == (
            PLACES_MAX - PLACES_OF_GROUP_MAX
        )
        assert await stand.reserve(neighbours[0]) is Status.OK  # it extends its own
        assert stand.relay.counts().places == PLACES_MAX

    run(scenario)


def test_banned_and_relayed_peers_get_no_place() -> None:
    async def scenario(stand: Stand) -> None:
        assert await stand.reserve(HIDDEN, Standing.BANNED) is Status.PERMISSION_DENIED
        relayed = f"/ip4/8.8.8.8/tcp/1/p2p/{CALLER}/p2p-circuit"
        answer, _ = await stand.ask(HIDDEN, Hop(Kind.RESERVE), address=relayed)
        assert answer.status is Status.PERMISSION_DENIED

    run(scenario)


def test_one_peer_has_few_circuits() -> None:
    async def scenario(stand: Stand) -> None:
        callers = [key_of(number).peer_id for number in range(100, 101 + CIRCUITS_OF_PEER_MAX)]
        stand.connections |= {peer: f"/ip4/6.6.{n}.1/tcp/1" for n, peer in enumerate(callers)}
        await stand.reserve(HIDDEN)
        opened = [(await stand.connect(caller))[0] for caller in callers]
        assert opened == [Status.OK] * CIRCUITS_OF_PEER_MAX + [Status.RESOURCE_LIMIT_EXCEEDED]

    run(scenario)


def test_the_peers_of_one_network_leave_circuits_to_each_peer_for_others() -> None:
    async def scenario(stand: Stand) -> None:
        callers = [key_of(number).peer_id for number in range(100, 101 + CIRCUITS_OF_GROUP_TO_PEER_MAX)]
        stand.connections |= {peer: f"/ip4/6.6.6.{n}/tcp/1" for n, peer in enumerate(callers)}
        await stand.reserve(HIDDEN)
        opened = [await stand.connect(caller) for caller in callers]
        assert [status for status, _ in opened] == (
            [Status.OK] * CIRCUITS_OF_GROUP_TO_PEER_MAX + [Status.RESOURCE_LIMIT_EXCEEDED]
        )
        assert (await stand.connect())[0] is Status.OK
        reader = opened[0][1][0]
        stand.behind[0][1].close()
        assert await reader.read() == b""
        assert (await stand.connect(callers[-1]))[0] is Status.OK

    run(scenario)


def test_the_peers_of_one_network_leave_circuits_for_others() -> None:
    async def scenario(stand: Stand) -> None:
        hidden = [key_of(number).peer_id for number in range(300, 308)]
        callers = [key_of(number).peer_id for number in range(400, 408)]
        stand.connections |= {peer: f"/ip4/8.8.{n}.1/tcp/1" for n, peer in enumerate(hidden)}
        stand.connections |= {peer: f"/ip4/6.6.6.{n}/tcp/1" for n, peer in enumerate(callers)}
        for peer in (HIDDEN, *hidden):
            await stand.reserve(peer)
        opened = 0
        for caller, target in zip(callers, hidden, strict=True):
            for _ in range(CIRCUITS_OF_PEER_MAX):
                answer, (_, writer) = await stand.ask(caller, Hop(Kind.CONNECT, peer=target))
                if answer.status is Status.OK:
                    opened += 1
                else:
                    writer.close()
        assert opened == CIRCUITS_OF_GROUP_MAX
        assert (await stand.connect())[0] is Status.OK

    run(scenario)


def test_streams_that_say_nothing_are_bounded_and_keep_no_other_network_out() -> None:
    async def scenario(stand: Stand) -> None:
        silent = [stand.open(CALLER, f"/ip4/6.6.6.{n}/tcp/1")[1] for n in range(100)]
        await asyncio.sleep(1)
        assert sum(not writer.closed for _, writer in silent) == WAITING_OF_GROUP_MAX
        assert await stand.reserve(HIDDEN) is Status.OK
        more = [stand.open(CALLER, f"/ip4/7.7.{n}.1/tcp/1")[1] for n in range(100)]
        await asyncio.sleep(1)
        assert sum(not writer.closed for _, writer in silent + more) == WAITING_MAX

    run(scenario)


@pytest.mark.parametrize("circuits", [1, 4])
def test_all_circuits_together_pass_no_more_than_the_rate(circuits: int) -> None:
    async def scenario(stand: Stand) -> None:
        await stand.reserve(HIDDEN)
        began = asyncio.get_running_loop().time()
        for _ in range(circuits):
            _, (_, writer) = await stand.connect()
            writer.write(bytes(400_000 // circuits))
        for reader, _ in stand.behind:
            await read_delimited(reader, MESSAGE_BYTES_MAX)
            await reader.readexactly(400_000 // circuits)
        seconds = asyncio.get_running_loop().time() - began
        assert 2.5 < seconds < 3.5  # 100 KB at once, and 300 KB at 100 KB/s

    run(scenario, bytes_per_s=100_000)


def test_circuits_that_end_at_once_keep_nobody_waiting() -> None:
    async def scenario(stand: Stand) -> None:
        await stand.reserve(HIDDEN)
        for _ in range(100):  # 1.6 MB that never pass: 16 s
            _, (reader, writer) = await stand.connect()
            writer.write(bytes(16_384))
            stand.behind.pop()[1].close()
            assert await reader.read() == b""
        began = asyncio.get_running_loop().time()
        _, (_, writer) = await stand.connect()
        writer.write(b"honest")
        [(far_reader, _)] = stand.behind
        await read_delimited(far_reader, MESSAGE_BYTES_MAX)
        assert await far_reader.readexactly(6) == b"honest"
        assert asyncio.get_running_loop().time() - began < 1.0

    run(scenario, bytes_per_s=100_000)


def test_a_circuit_ends_after_its_time() -> None:
    async def scenario(stand: Stand) -> None:
        await stand.reserve(HIDDEN)
        _, (reader, _) = await stand.connect()
        await asyncio.sleep(LIMIT.seconds + 1)
        assert await reader.read() == b""
        assert stand.relay.counts().circuits == 0

    run(scenario)


def test_a_stream_that_says_nothing_or_nonsense_is_closed() -> None:
    async def scenario(stand: Stand) -> None:
        for sent in (b"", b"\x02\xff\xff", b"\xff\xff\xff\xff"):
            ours, theirs = pair()
            ours[1].write(sent)
            await stand.relay.serve(CALLER, "/ip4/9.9.9.9/tcp/1", *theirs, Standing.MET)  # type: ignore[arg-type]
            assert await ours[0].read() == b""
        answer, _ = await stand.ask(CALLER, Hop(Kind.STATUS, status=Status.OK))
        assert answer.status is Status.UNEXPECTED_MESSAGE

    run(scenario)
