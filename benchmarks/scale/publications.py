"""What statistical peers publish, and where it is stored. It is signed only once a real machine reads it."""

from __future__ import annotations

import random
from bisect import insort
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from benchmarks.scale.crowd import Crowd
from benchmarks.scale.workload import MANIFEST, ROUND_S, STEP_S, group, own_status
from protocol import (
    MEMBERSHIP_SHARDS_MAX,
    SHARD_ENTRIES_MAX,
    Placement,
    announcement_key,
    dht_id,
    membership_key,
    place_announcement,
    place_status,
    shard_of,
)
from swarmd import gossip as g
from swarmd.gossip.limits import status_shards_in
from swarmd.gossip.publishing import Publisher
from swarmd.gossip.shards import spread_s
from swarmd.gossip.status import sign_own_status
from swarmd.network.handing_over import REPLICAS
from swarmd.network.shelf import Held

LIMITS = g.GossipLimits()

LIFETIME_S = 300.0
"""Of an announcement."""

ROUNDS_BACK = int(LIFETIME_S // ROUND_S) + 1

ROUNDS_REMEMBERED = 12
"""As many as are measured, and those whose announcements are still stored."""

STORED_AFTER_S = 1.3
"""Seconds from a group to its announcement on other peers' shelves: gossip's batch, a walk, a store."""

FULL_MAX = 4 * REPLICAS
"""Nodes nearest to a key that are considered for what the nearest have no room for: more than a walk finds.
"""

BELIEFS = 16
"""Machines that are asked each round over how many shards they publish."""

BODIES_MAX = 4_096
"""Bodies kept, 64 MiB; others are regenerated."""


@dataclass(frozen=True, order=True)
class Entry:
    """An announcement or a status of a statistical peer, on the shelves of the REPLICAS nearest nodes."""

    since: float
    publisher: int
    expires: float
    about: int
    """The round of an announcement, or the number of a status."""
    width: int = 0
    """Number of shards over which its publisher spreads announcements."""
    waits: float = 0.0
    """Seconds that an announcement waited before it was stored."""


class Publications:
    """By DHT key, as an integer of 160 bits."""

    def __init__(
        self,
        crowd: Crowd,
        real: int,
        seed: int,
        shards: Callable[[], int],
        swarm_size: Callable[[], int] = lambda: 1,
    ) -> None:
        """`real`: this many nodes are machines, and publish themselves. `shards`, `swarm_size`: return over
        how many shards a peer spreads its announcements, and how large the swarm is, according to one of the
        machines.
        """
        self._crowd, self._real, self._seed, self._shards = crowd, real, seed, shards
        rng = random.Random(f"phases {seed}")
        self._swarm_size = swarm_size
        self._believed: dict[int, int] = {}
        """How large the swarm is according to the machines, by round."""
        self._phases = [rng.random() for _ in range(crowd.size)]
        """When in each step and in each status interval a peer publishes."""
        self._rounds: dict[int, dict[int, list[Entry]]] = {}
        self._own: dict[int, dict[int, tuple[int, Entry]]] = {}
        """By round and publisher: the key of its announcement, and the announcement."""
        self._signed: dict[Entry, tuple[bytes, Held]] = {}
        self._entry_of: dict[bytes, Entry] = {}
        self._bodies: OrderedDict[bytes, bytes] = OrderedDict()
        self._members: list[list[int]] = [[] for _ in range(MEMBERSHIP_SHARDS_MAX)]
        for number in range(real, crowd.size):
            name = crowd.nodes[number].name
            self._members[shard_of(name, MANIFEST.swarm_id, MEMBERSHIP_SHARDS_MAX)].append(number)
        self.status_keys = {status_key(shard): shard for shard in range(MEMBERSHIP_SHARDS_MAX)}
        """All that a swarm can use, by DHT id: their shards."""
        self._stored: dict[tuple[int, int], dict[bytes, Held]] = {}
        """What machines stored at statistical nodes, by node and key."""

    def live(self, key: int, now: float, rank: int = 0) -> list[Entry]:
        """Return the entries under `key` at the node with this `rank` by distance, 0 for the nearest.

        The REPLICAS nearest keep the entries that came first, as many as they have room for. The next
        REPLICAS nodes keep what did not fit there, and so on.
        """
        first = rank // REPLICAS * SHARD_ENTRIES_MAX
        return self._all(key, now)[first : first + SHARD_ENTRIES_MAX]

    def _all(self, key: int, now: float) -> list[Entry]:
        if key in self.status_keys:
            several = self._statuses(self.status_keys[key], now)
        else:
            newest = MANIFEST.round_at(int(now))
            rounds = range(newest - ROUNDS_BACK, newest + 1)
            several = [entry for round_ in rounds for entry in self._round(round_).get(key, ())]
        return [entry for entry in several if entry.since <= now < entry.expires]

    def _live_at(self, number: int, key: int, now: float) -> list[Entry]:
        near = self._crowd.nearest(key, FULL_MAX)
        return self.live(key, now, near.index(number)) if number in near else []

    def entries(self, number: int, key: int, now: float) -> dict[bytes, Held]:
        """Return what is stored under `key` at one node, by subkey."""
        return dict(self._made(key, entry) for entry in self._live_at(number, key, now))

    def _made(self, key: int, entry: Entry) -> tuple[bytes, Held]:
        """Return an entry's subkey and its signed value."""
        if entry not in self._signed:
            sign = self._sign_status if key in self.status_keys else self._sign_announcement
            self._signed[entry] = sign(entry)
        return self._signed[entry]

    def told_by(self, number: int, now: float) -> dict[bytes, Held]:
        """Return the announcements that a statistical peer has of its own, by subkey, even those that wait to
        be stored.
        """
        newest = MANIFEST.round_at(int(now))
        found = []
        for round_ in range(newest - ROUNDS_BACK, newest + 1):
            self._round(round_)
            found.append(self._own[round_][number])
        return dict(
            self._made(key, entry) for key, entry in found if entry.since - entry.waits <= now < entry.expires
        )

    def stored(self, number: int, key: int, now: float) -> dict[bytes, Held]:
        """Return what machines stored at one statistical node."""
        found = self._stored.get((number, key), {})
        return {subkey: held for subkey, held in found.items() if held.expires > now}

    def put(self, number: int, key: int, subkey: bytes, held: Held, now: float) -> bool:
        """Store a machine's value at a statistical node. Returns False if its key is full."""
        before = self.stored(number, key, now)
        others = len(self._live_at(number, key, now))
        if subkey not in before and len(before) + others >= SHARD_ENTRIES_MAX:
            return False
        self._stored[number, key] = before | {subkey: held}
        return True

    def stored_in(self, since: float, until: float) -> Counter[int]:
        """Return how many announcements were stored then, by round, as far as rounds are remembered."""
        entries = chain.from_iterable(own.values() for own in self._own.values())
        return Counter(entry.about for _, entry in entries if since <= entry.since < until)

    def news(self, round_: int) -> list[tuple[float, int, int, bytes]]:
        """Return what machines are to store in a round, in order: when, which machine, who asks it to, and
        the announcement.
        """
        found = []
        for key, entries in self._round(round_).items():
            for holder in self._crowd.nearest(key, REPLICAS):
                if holder < self._real:
                    found += [
                        (entry.since, holder, entry.publisher, self._made(key, entry)[1].value)
                        for entry in entries
                    ]
        return sorted(found)

    def published_at(self, digest: bytes) -> float | None:
        """Return when a record was made, if a machine saw its announcement."""
        entry = self._entry_of.get(digest)
        return _made_at(entry) if entry else None

    def body(self, digest: bytes) -> bytes | None:
        """Return a record whose announcement a machine saw."""
        entry = self._entry_of.get(digest)
        if entry is None:
            return None
        if digest not in self._bodies:
            self._record(entry)
        return self._bodies[digest]

    def forget_before(self, now: float) -> None:
        """Free what has expired."""
        self._signed = {entry: made for entry, made in self._signed.items() if entry.expires > now}
        self._stored = {place: held for place in self._stored if (held := self.stored(*place, now))}
        oldest = MANIFEST.round_at(int(now)) - ROUNDS_REMEMBERED
        self._rounds = {round_: keys for round_, keys in self._rounds.items() if round_ >= oldest}
        self._own = {round_: own for round_, own in self._own.items() if round_ >= oldest}

    def full_status(self, number: int, now: float) -> bytes:
        """Return what a peer says of itself on request, with the 32 peers from whom it learned."""
        node, rng = self._crowd.nodes[number], random.Random(number)
        used = {self._crowd.nodes[rng.randrange(self._crowd.size)].name: i for i in range(1, 33)}
        status = own_status((node.full_address,), int(now) % 1_000, used)
        return sign_own_status(node.key, MANIFEST, LIMITS, status, now)[2]

    def _round(self, round_: int) -> dict[int, list[Entry]]:
        if round_ not in self._rounds:
            by_key: dict[int, list[Entry]] = {}
            own: dict[int, tuple[int, Entry]] = {}
            widths = [self._shards() for _ in range(BELIEFS)]
            for number in range(self._real, self._crowd.size):
                at = MANIFEST.round_start(round_) + self._phases[number] * STEP_S
                task_id = self._group_rng(number, round_).choice(MANIFEST.tasks).task_id
                width = widths[number % BELIEFS]
                key = announcements_key(
                    round_, task_id, shard_of(self._crowd.nodes[number].name, task_id, width)
                )
                waits = spread_s(width, ROUND_S, LIMITS) * self._group_rng(number, -round_).random()
                since = at + waits + STORED_AFTER_S
                entry = Entry(since, number, at + LIFETIME_S - 1.0, round_, width, waits)
                insort(by_key.setdefault(key, []), entry)
                own[number] = key, entry
            self._rounds[round_], self._own[round_] = by_key, own
        return self._rounds[round_]

    def _group_rng(self, number: int, round_: int) -> random.Random:
        return random.Random(f"{self._seed} {number} {round_}")

    def _record(self, entry: Entry) -> Publisher:
        """Return the record's publisher, which can announce it; the record is among the bodies."""
        at = _made_at(entry)
        publisher = Publisher(self._crowd.nodes[entry.publisher].key, MANIFEST, LIMITS, dialable=True)
        publisher.start_round(entry.about)
        made = group(self._group_rng(entry.publisher, entry.about), entry.about)
        for command in publisher.publish(made, entry.width, 1, at):
            if isinstance(command, g.StoreBlob):
                self._entry_of[command.digest] = entry
                self._bodies[command.digest] = command.envelope
        while len(self._bodies) > BODIES_MAX:
            self._bodies.popitem(last=False)
        return publisher

    def _sign_announcement(self, entry: Entry) -> tuple[bytes, Held]:
        batch = self._record(entry).batch(entry.since)
        if batch is None:
            raise RuntimeError(f"a record of peer {entry.publisher} could not be published")
        return _placed(place_announcement(batch.envelopes[0], manifest=MANIFEST, now=entry.since))

    def _statuses(self, shard: int, now: float) -> list[Entry]:
        """Return one entry per peer, which may have expired: a peer that has a slot renews it."""
        believed = self._swarm_size_in(MANIFEST.round_at(int(now)))
        interval, lifetime = LIMITS.status_interval_in(believed), LIMITS.status_lifetime_s
        shards = status_shards_in(believed)
        entries = []
        for number in chain.from_iterable(self._members[shard::shards] if shard < shards else ()):
            times = int(now / interval - self._phases[number])
            since = (times + self._phases[number]) * interval
            entries.append(Entry(since, number, since + lifetime, times))
        return entries

    def _swarm_size_in(self, round_: int) -> int:
        if round_ not in self._believed:
            believed = sorted(self._swarm_size() for _ in range(BELIEFS))
            self._believed[round_] = believed[BELIEFS // 2]
        return self._believed[round_]

    def _sign_status(self, entry: Entry) -> tuple[bytes, Held]:
        node = self._crowd.nodes[entry.publisher]
        status = own_status((node.full_address,), entry.about % 1_000)
        envelope = sign_own_status(node.key, MANIFEST, LIMITS, status, entry.since)[0]
        return _placed(place_status(envelope, manifest=MANIFEST, now=entry.since))


def _made_at(entry: Entry) -> float:
    """Return when the record was made that an entry announces."""
    return entry.since - STORED_AFTER_S - entry.waits


def _placed(placement: Placement) -> tuple[bytes, Held]:
    return placement.subkey or b"", Held(placement.value, placement.expires)


@lru_cache(65_536)
def announcements_key(round_: int, task_id: bytes, shard: int) -> int:
    """Return the DHT id of a key, as an integer."""
    return int.from_bytes(dht_id(announcement_key(MANIFEST.swarm_id, round_, task_id, shard)))


def status_key(shard: int) -> int:
    return int.from_bytes(dht_id(membership_key(MANIFEST.swarm_id, shard)))
