"""The network of one real machine in a simulated swarm: the real searcher and routing table, no sockets.

`swarmd.network.searching` walks and stores as in a daemon, and `swarmd.network.in_touch` greets and closes
idle connections. This file simulates what is below them: the messages of `swarmd.network.dht`, and
connections. No node fails and none is refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from hivemind.dht.routing import DHTID, RoutingTable
from hivemind.p2p import PeerID

from benchmarks.scale import sizes
from benchmarks.scale.crowd import NEAR, Crowd
from benchmarks.scale.publications import Publications
from benchmarks.scale.tally import Purpose, Served, Tally, To
from benchmarks.scale.workload import MANIFEST
from protocol import PEER_ID_BYTES, PeerId, Place, Placement, place_announcement
from swarmd.addresses import PeerAddress
from swarmd.network.address_book import AddressBook
from swarmd.network.answers import Answer, Stored
from swarmd.network.bucket_checks import BucketChecks
from swarmd.network.dht import BUCKET_SIZE, NAMED
from swarmd.network.dht_ids import node_id_of
from swarmd.network.doors import Doors
from swarmd.network.guard import Guard
from swarmd.network.handing_over import Packed
from swarmd.network.in_touch import InTouch
from swarmd.network.interface import (
    BodyProvider,
    NetworkStatistics,
    News,
    Pulled,
    PullFailedError,
    PullFailure,
    Report,
    StandingOf,
    Way,
)
from swarmd.network.neighbourhood import LOOK_AROUND_MANY_S, MANY, REFRESH_S, look_around_s
from swarmd.network.own_announcements import OwnAnnouncements
from swarmd.network.packing import read_bin
from swarmd.network.pauses import Pauses
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rules import announcer_of, place_all, place_among
from swarmd.network.searching import Searcher
from swarmd.network.shares import Source
from swarmd.network.shelf import Held, Shelf, told
from swarmd.network.simulation import simulated_wall_clock
from swarmd.network.storing import Holding
from swarmd.network.streams import BODY_PROTOCOL, as_it_travels
from swarmd.network.traversals import READ_KEYS

HANDSHAKE_TRIPS = 3.0
"""Round trips of a new connection: TCP, Noise, the muxer."""

PULL_REQUEST = 33
"""A digest and a receipt."""

purpose_now: ContextVar[Purpose] = ContextVar("purpose")


class SimulatedNetwork:
    """See `peer.PeerNetwork`; also has what `Searcher` needs from a `SwarmDHT`."""

    def __init__(
        self,
        number: int,
        crowd: Crowd,
        publications: Publications,
        machines: dict[int, SimulatedNetwork],
        rng: random.Random,
        latency_s: float,
    ) -> None:
        """`machines`: the networks of all real machines, by number; this one adds itself."""
        loop = asyncio.get_running_loop()
        self.number, self._crowd, self._publications = number, crowd, publications
        self._machines, self._rng, self._latency_s = machines, rng, latency_s
        machines[number] = self
        self.node = crowd.nodes[number]
        self.node_id = node_id_of(self.node.peer)
        self.routing_table = RoutingTable(self.node_id, BUCKET_SIZE, 5)
        self._bucket_checks = BucketChecks(self.routing_table, loop.time)
        self._shelf = Shelf(rng)
        self._own = OwnAnnouncements(self.node.name, lambda: MANIFEST)
        self._pulled: dict[PeerId, int] = {}
        self._guard = Guard(loop.time, lambda peer: self._pulled.get(peer, 0))
        self._book = AddressBook(self._guard.relies_on, loop.time)
        self._searcher = Searcher(
            self,  # type: ignore[arg-type]
            self._guard,
            self._shelf,
            simulated_wall_clock,
            loop.time,
        )
        self._connected: dict[int, None] = {}
        """Nodes that it is connected to."""
        self._introduced: dict[int, None] = {}
        """Nodes that were just dialled at a known address."""
        self._in_touch = InTouch(
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self._guard.hearing,
            Doors(),
            Pauses(loop.time, simulated_wall_clock),
            frozenset,
            loop.time,
        )
        self._looked_at = loop.time()
        self._bodies: BodyProvider = lambda _digest: None
        self._full_status = b""
        self.news: News = lambda _envelope: None
        self.tally, self.served = Tally(), Served()

    # `PeerNetwork` -----------------------------------------------------------------------------------

    @property
    def peer_id(self) -> PeerId:
        return self.node.name

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.node.full_address,)

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:  # noqa: ARG002
        self._bodies = bodies

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        self._full_status = with_credits or envelope

    def tell_announcement(self, envelope: bytes) -> None:
        self._own.add(_placed(place_announcement, [envelope]))

    def news_by(self, news: News) -> None:
        self.news = news

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        self._guard.judge_by(standing_of, report)

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:  # noqa: ARG002
        names = {PeerId(address.rpartition("/")[2]) for address in addresses} - {self.peer_id}
        for name in names:
            other = self._crowd.number_of[name]
            await self._trip(other, at=self._crowd.nodes[other].full_address)
            self._count(Purpose.GREET, To.ANYBODY, sizes.PING_REQUEST, sizes.PING_ANSWER, other)
            self._enter(other)
        if len(names) > 1 or len(self._connected) < MANY or self._look_is_due:
            await self.look_around()
        return len(names)

    async def disconnect(self, peer_id: PeerId) -> None:
        other = self._crowd.number_of[peer_id]
        self._connected.pop(other, None)
        if other in self._machines:
            self._machines[other]._connected.pop(self.number, None)

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        placements = _placed(place_announcement, envelopes)
        self._own.add(placements)
        return (await self._hold(Purpose.ANNOUNCE, placements)).held

    async def publish_status(self, envelope: bytes, shards: int) -> bool:
        return not (await self._hold(Purpose.STATUS, _placed(place_among(shards), [envelope]))).crowded

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._read(Purpose.READ, keys)

    async def announcements_of(self, peer_id: PeerId) -> list[bytes]:
        other = self._crowd.number_of[peer_id]
        await self._trip(other)
        now, machine = simulated_wall_clock(), self._machines.get(other)
        told = machine._own.told(now) if machine else self._publications.told_by(other, now)
        held = sizes.dictionary((len(subkey), len(each.value)) for subkey, each in told.items())
        answered = sizes.find_answer([sizes.result(0, held)])
        self._count(Purpose.TELL, To.ANYBODY, sizes.find_request(1), answered, other)
        self._enter(other)
        return [each.value for each in told.values()]

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._read(Purpose.MEMBERS, keys)

    async def look_around(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        self._walks(Purpose.LOOK, 1)
        await self._searcher.look_around()

    async def ask_status(self, peer_id: PeerId) -> bytes:
        other = self._crowd.number_of[peer_id]
        await self._trip(other)
        machine = self._machines.get(other)
        status = machine._full_status if machine else b""
        if not machine:
            status = self._publications.full_status(other, simulated_wall_clock())
        self._count(Purpose.ASK, To.ANYBODY, 1, sizes.STREAM_REPLY + len(status), other)
        return status

    async def store_body(self, envelope: bytes) -> bool:
        raise NotImplementedError("every simulated peer can be dialled")

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:  # noqa: ARG002
        other = self._crowd.number_of[peer_id]
        await self._trip(other)
        machine = self._machines.get(other)
        body = machine._bodies(digest) if machine else self._publications.body(digest)
        if body is None:
            raise PullFailedError("not held", PullFailure.ABSENT)
        reply = as_it_travels(BODY_PROTOCOL, body)
        self._count(Purpose.PULL, To.ANYBODY, PULL_REQUEST, sizes.STREAM_REPLY + len(reply), other)
        self._pulled[peer_id] = self._pulled.get(peer_id, 0) + 1
        return Pulled(body, Way.DIRECT, self._crowd.nodes[other].address)

    def statistics(self) -> NetworkStatistics:
        connections = self.connections
        return NetworkStatistics(
            len(connections),
            restarts=0,
            bytes_pulled=0,
            pulls_failed=0,
            dialable=True,
            connections=connections,
        )

    # In the background -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay in touch, and look around, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._in_touch.keep())
            while True:
                await asyncio.sleep(REFRESH_S)
                if self._look_is_due:
                    await self.look_around()

    @property
    def _look_is_due(self) -> bool:
        since = asyncio.get_running_loop().time() - self._looked_at
        return since >= look_around_s(len(self._connected))

    def settle(self) -> None:
        """Start with the routing table of a node that has been present for a long time, and last looked
        around at a random time.
        """
        self._looked_at -= self._rng.uniform(0.0, LOOK_AROUND_MANY_S)
        for other in self._crowd.table(self.number):
            peer = self._crowd.nodes[other].peer
            self.routing_table.add_or_update_node(node_id_of(peer), peer)
            self._was_asked_by(other)

    # What `InTouch` needs of the supervisor, the session and the neighbourhood --------------------------

    async def session(self) -> SimulatedNetwork:
        return self

    async def locate(self, _session: object) -> None:
        self._guard.located(self.connections)
        self._book.located(self.connections, (self.node.full_address,))

    @property
    def connections(self) -> dict[PeerId, str]:
        nodes = self._crowd.nodes
        return {nodes[other].name: nodes[other].address for other in self._connected}

    async def greet(self, _session: object, peer: PeerId) -> bool:
        self._greet(self._crowd.number_of[peer])
        return True

    # What `Searcher` needs of the DHT ----------------------------------------------------------------

    @property
    def peers(self) -> list[PeerID]:
        return list(self.routing_table.uid_to_peer_id.values())

    def nearest(self, key: int, count: int) -> list[PeerID]:
        return [peer for _, peer in self.routing_table.get_nearest_neighbors(DHTID(key), count)]

    def is_connected(self, peer: PeerID) -> bool:
        return self._crowd.number(peer) in self._connected

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work, name=name)

    async def find(self, peer: PeerID, keys: Sequence[bytes]) -> list[Answer] | None:
        other, purpose = self._crowd.number(peer), purpose_now.get()
        await self._trip(other)
        answers, bare, found, near = [], [], 0, False
        for name in keys:
            key = int.from_bytes(name)
            entries, neighbours = self._look_up(other, key)
            held = sizes.dictionary((len(subkey), len(each.value)) for subkey, each in entries.items())
            answers.append(Answer(entries, None, tuple(neighbours)))
            bare.append(sizes.result(len(neighbours), 0))
            publishers = self._note_addresses(other, neighbours, entries)
            found += sizes.result(len(neighbours), held, publishers) - bare[-1]
            near |= other in self._crowd.nearest(key, NEAR)
            if purpose is Purpose.READ:
                self.tally.copies += len(entries)
        to = To.NEAR if near else To.FAR
        asked = sizes.find_request(len(keys))
        self._count(purpose, to, asked, sizes.find_answer(bare), other, found)
        self._enter(other)
        return answers

    async def store(self, peer: PeerID, things: Sequence[Packed], *, names: bool = False) -> Stored | None:
        other = self._crowd.number(peer)
        await self._trip(other)
        near = any(other in self._crowd.nearest(int.from_bytes(name), NEAR) for name, *_ in things)
        lengths = ((len(subkey), len(value)) for _, subkey, value, _ in things)
        asked = sizes.store_request(lengths, names=names)
        to = To.KEEPER if near else To.FRIEND
        named: dict[bytes, tuple[PeerID, ...]] = {}
        for name in dict.fromkeys(name for name, *_ in things) if names else ():
            _, neighbours = self._look_up(other, int.from_bytes(name))
            self._note_addresses(other, neighbours, {})
            named[name] = tuple(neighbours)
        answered = sizes.store_answer(len(things), map(len, named.values()))
        self._count(purpose_now.get(), to, asked, answered, other)
        self._enter(other)
        return Stored([self._put(other, *thing) for thing in things], named)

    def _note_addresses(self, namer: int, neighbours: Sequence[PeerID], entries: Mapping[bytes, Held]) -> int:
        """Learn the addresses of a node's answer, and return of how many publishers. A statistical node knows
        all: its neighbours and the publishers were connected to it, and stated where they are.
        """
        by, machine = self._crowd.nodes[namer].name, self._machines.get(namer)

        def known(name: PeerId) -> bytes:
            at = self._crowd.nodes[self._crowd.number_of[name]].binary
            return at if machine is None else machine._book.address_of(name)

        publishers = [publisher for publisher in map(announcer_of, entries) if publisher is not None]
        for name in (*map(read_peer_id, map(PeerID.to_bytes, neighbours)), *publishers):
            self._book.named(name, known(name), by)
        return sum(bool(known(publisher)) for publisher in publishers)

    def store_for(self, publisher: int, envelope: bytes) -> None:
        """A statistical peer asks this one to store an announcement, which is read from `Publications`."""
        self._was_asked_by(publisher)
        self.news(envelope)

    def _was_asked_by(self, other: int) -> None:
        """A request states the address of its sender, who is connected."""
        node = self._crowd.nodes[other]
        self._book.stated(node.name, node.binary)
        self._book.located(self.connections | {node.name: node.address}, (self.node.full_address,))

    def _look_up(self, other: int, key: int) -> tuple[Mapping[bytes, Held], list[PeerID]]:
        """Return a node's answer: what it holds, and which nodes it names."""
        now = simulated_wall_clock()
        entries = self._publications.entries(other, key, now)
        machine = self._machines.get(other)
        if machine is None:
            names = self._crowd.names(other, key, self.number)
            entries |= self._publications.stored(other, key, now)
            return told(entries, self.peer_id, self._rng), [self._crowd.nodes[name].peer for name in names]
        machine._enter(self.number)
        nearest = machine.routing_table.get_nearest_neighbors(
            DHTID(key), NAMED, exclude=node_id_of(self.node.peer)
        )
        entries |= machine._shelf.entries(key.to_bytes(20), now)
        return told(entries, self.peer_id, self._rng), [peer for _, peer in nearest]

    def _put(self, other: int, name: bytes, subkey: bytes, value: bytes, expires: float) -> bool:
        now, machine = simulated_wall_clock(), self._machines.get(other)
        place, thing = read_bin(subkey, 64), read_bin(value, 2**16)
        if machine is None:
            return self._publications.put(other, int.from_bytes(name), place, Held(thing, expires), now)
        machine._enter(self.number)
        source = Source(sender=self.node.address, signer=self.peer_id)
        held = machine._shelf.put_entry(name, place, thing, expires, now, source)
        if held and len(place) > PEER_ID_BYTES:
            machine.news(thing)
        return held

    # -------------------------------------------------------------------------------------------------

    async def _hold(self, purpose: Purpose, placements: Sequence[Placement]) -> Holding:
        self._walks(purpose, len({placement.key for placement in placements}))
        return await self._searcher.hold(placements)

    async def _read(self, purpose: Purpose, keys: Sequence[bytes]) -> list[bytes]:
        found: dict[bytes, None] = {}
        for start in range(0, len(keys), READ_KEYS):
            some = keys[start : start + READ_KEYS]
            self._walks(purpose, len(some))
            found |= dict.fromkeys(await self._searcher.entries(some))
        return list(found)

    def _walks(self, purpose: Purpose, keys: int) -> None:
        purpose_now.set(purpose)
        self.tally.walks[purpose] += 1
        self.tally.keys[purpose] += keys

    def _greet(self, other: int) -> None:
        self._introduce(other, self._book.to_dial(self._crowd.nodes[other].name))
        self._count(Purpose.GREET, To.ANYBODY, sizes.PING_REQUEST, sizes.PING_ANSWER, other)

    def _count(
        self, purpose: Purpose, to: To, asked: float, answered: float, other: int, found: float = 0.0
    ) -> None:
        """Count a message there and back. In return, some node of the crowd makes an equal request to this
        peer.
        """
        self.tally.flows[purpose, to].add(asked, answered, found)
        machine = self._machines.get(other)
        if machine is not None:
            machine._was_asked_by(self.number)
            machine.served.calls += 1
            machine.served.received += asked
            machine.served.sent += answered + found
            machine.served.stores += to in (To.KEEPER, To.FRIEND)
            machine._guard.hearing.asked(self.peer_id)
        if other not in self._connected:
            self.tally.connections[purpose] += 1
            self.tally.unaided[purpose] += other not in self._introduced
            self._connect(other)
        self._introduced.pop(other, None)
        self._guard.hearing.answered(self._crowd.nodes[other].name)
        caller = self._rng.randrange(self._crowd.size)
        if caller not in self._machines and purpose is not Purpose.GREET:
            self._connect(caller)
            self._was_asked_by(caller)
            self._guard.hearing.asked(self._crowd.nodes[caller].name)
            self._enter(caller)

    def _connect(self, other: int) -> None:
        self._connected[other] = None
        if other in self._machines:
            self._machines[other]._connected[self.number] = None

    def _enter(self, other: int) -> None:
        """Enter a node into the routing table, as `SwarmDHT` does: if a bucket is full, its oldest node is
        greeted.
        """
        if other >= self._crowd.size or other == self.number:
            return
        peer = self._crowd.nodes[other].peer
        in_doubt = self._bucket_checks.enter(node_id_of(peer), peer, self._silent_s)
        if in_doubt is not None:
            self._greet(self._crowd.number(in_doubt))
            self._bucket_checks.enter(node_id_of(in_doubt), in_doubt, self._silent_s)

    def _silent_s(self, peer: PeerID) -> float:
        return self._guard.hearing.unanswering_s(read_peer_id(peer.to_bytes()))

    async def _trip(self, other: int, at: str | None = None) -> None:
        """Wait for a round trip, after a handshake if there is no connection. `at`: a known address."""
        name = self._crowd.nodes[other].name
        addresses = self._book.to_dial(name) if at is None else (PeerAddress(at, name),)
        trips = 1.0 if other in self._connected else 1.0 + HANDSHAKE_TRIPS
        await asyncio.sleep(2 * trips * self._latency_s * self._rng.uniform(0.5, 1.5))
        self._introduce(other, addresses)

    def _introduce(self, other: int, addresses: Sequence[PeerAddress]) -> None:
        if addresses:
            self._introduced[other] = None
            self._book.reached(self._crowd.nodes[other].name, addresses)


def _placed(place: Place, envelopes: Sequence[bytes]) -> list[Placement]:
    return place_all(place, envelopes, manifest=MANIFEST, now=simulated_wall_clock())
