"""The load of all peers of a swarm, computed from what its real machines did.

Every peer makes as many requests as one of the machines, chosen at random. The destinations are drawn anew:

- requests about a key go to the eight nodes nearest to it, or to the five nearest if something is to be
  stored there, and what is stored there comes from the five that hold it;
- all others (to nodes on the way, contacts, publishers, greetings) go to random nodes.

If all peers are machines nothing is drawn: the load is what they served, and its busiest minute is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.crowd import NEAR
from benchmarks.scale.publications import announcements_key, status_key
from benchmarks.scale.simulated import Outcome
from benchmarks.scale.tally import Flow, Purpose, To, together
from benchmarks.scale.workload import MANIFEST
from swarmd.gossip import GossipLimits
from swarmd.gossip.limits import status_shards_in
from swarmd.network.handing_over import REPLICAS

Numbers = NDArray[np.float64]

MINUTE_S = 60.0

CALL_BYTES = 505.0
"""What one call adds on the wire in each direction, besides its message: a stream with its handshake, a
frame, TCP and IP. Measured by `--wire`.
"""

OPENING_BYTES = 2_050.0
"""What opening and closing a connection costs each side: Noise, the muxer, identify, the first question of
p2pd's own DHT. Measured by `--wire`.
"""

CONNECTION_BYTES = 17.0
"""Bytes per second that each side of an idle connection receives: the muxer's own pings, and those of p2pd's
DHT. `--wire` measures 12 between two p2pd; six of them put 17 on each connection.
"""


@dataclass(frozen=True)
class Load:
    """Per second, one number for each peer of the swarm."""

    received: Numbers
    """Bytes of messages received: answers to its requests, and requests of others."""
    sent: Numbers
    calls: Numbers
    """Calls and streams, made and answered."""
    opened: Numbers
    """Connections that it opens. As many are opened to it."""
    connections: Numbers
    """Connections that it has, not per second."""
    served_calls: Numbers
    served_bytes: Numbers
    """What it sent in answers."""
    stored_calls: Numbers
    """Requests to store something, among those answered."""
    served_in_a_minute: Numbers | None
    """Calls answered in the minute in which the busiest node answered most. None if all are machines."""

    @property
    def wire(self) -> Numbers:
        """Bytes received, including what calls and connections add to the messages."""
        return self.received + self.wire_calls + self.wire_opened + self.wire_connections

    @property
    def wire_calls(self) -> Numbers:
        return CALL_BYTES * self.calls

    @property
    def wire_opened(self) -> Numbers:
        return 2 * OPENING_BYTES * self.opened

    @property
    def wire_connections(self) -> Numbers:
        return CONNECTION_BYTES * self.connections


def load_of(outcome: Outcome) -> Load:
    """Return the load of each peer in the measured time."""
    setting, seconds = outcome.setting, outcome.setting.measured_s
    rng = np.random.default_rng((setting.seed, setting.size))
    whole = setting.machines == setting.size
    who = np.arange(setting.size) if whole else rng.integers(setting.machines, size=setting.size)
    received, sent, calls, opened = (
        np.array(values)[who] / seconds
        for values in (
            [tally.received for tally in outcome.tallies],
            [tally.sent for tally in outcome.tallies],
            [tally.calls for tally in outcome.tallies],
            [float(tally.connections.total()) for tally in outcome.tallies],
        )
    )
    since = outcome.ended - seconds
    served_calls, asked, answered, stored = (
        each / seconds for each in _Served(outcome, rng, since, outcome.ended).by_node()
    )
    minute_s = min(MINUTE_S, seconds)
    starts = () if whole else np.arange(since, outcome.ended - minute_s + 1.0, MINUTE_S / 2)
    minutes = [_Served(outcome, rng, start, start + minute_s).by_node()[0] / minute_s for start in starts]
    return Load(
        received=received + asked,
        sent=sent + answered,
        calls=calls + served_calls,
        opened=opened,
        connections=np.array(outcome.connections, dtype=float)[who],
        served_calls=served_calls,
        served_bytes=answered,
        stored_calls=stored,
        served_in_a_minute=None if whole else max(minutes, key=np.max),
    )


class _Served:
    """What each node serves from `since` to `until`, if the machines ask evenly over the measured time. Unix
    seconds.
    """

    def __init__(self, outcome: Outcome, rng: np.random.Generator, since: float, until: float) -> None:
        self._outcome, self._rng, self._since, self._until = outcome, rng, since, until
        size = outcome.setting.size
        self._factor = size / outcome.setting.machines * (until - since) / outcome.setting.measured_s
        """How often what the machines asked in the measured time is asked from `since` to `until`, by all."""
        self._calls, self._asked, self._answered, self._stored = (np.zeros(size) for _ in range(4))

    def by_node(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Calls, bytes requested, bytes answered, and stores among the calls."""
        outcome = self._outcome
        if outcome.setting.machines == outcome.setting.size:
            self._calls += [served.calls for served in outcome.served]
            self._asked += [served.received for served in outcome.served]
            self._answered += [served.sent for served in outcome.served]
            self._stored += [served.stores for served in outcome.served]
            return self._calls, self._asked, self._answered, self._stored
        for purpose in Purpose:
            keys = self._keys(purpose)
            for to in To:
                flow = together([t.flows[purpose, to] for t in outcome.tallies if (purpose, to) in t.flows])
                if to in (To.NEAR, To.KEEPER) and keys:
                    stores = purpose in (Purpose.ANNOUNCE, Purpose.STATUS)
                    self._at_keys(keys, flow, REPLICAS if stores else NEAR, stores=to is To.KEEPER)
                else:
                    self._anywhere(flow, stores=to in (To.KEEPER, To.FRIEND))
        return self._calls, self._asked, self._answered, self._stored

    def _keys(self, purpose: Purpose) -> dict[int, tuple[float, float]]:
        """Return the keys among which a peer chooses, each with how often in relation to the others, and a
        time at which what it holds is counted.
        """
        outcome = self._outcome
        if purpose in (Purpose.MEMBERS, Purpose.STATUS):
            believed = sorted(outcome.sizes_believed)[len(outcome.sizes_believed) // 2]
            return {status_key(shard): (1.0, outcome.ended) for shard in range(status_shards_in(believed))}
        rounds: Mapping[int, float] = {}
        if purpose is Purpose.ANNOUNCE:
            rounds = outcome.publications.stored_in(self._since, self._until)
        elif purpose is Purpose.READ:
            first = MANIFEST.round_at(int(self._since)) - GossipLimits().read_rounds_back
            rounds = dict.fromkeys(range(first, MANIFEST.round_at(int(self._until) - 1) + 1), 1.0)
        shards = range(sorted(outcome.shards)[len(outcome.shards) // 2])
        return {
            announcements_key(round_, task.task_id, shard): (
                often,
                min(outcome.ended, MANIFEST.round_start(round_ + 2)),
            )
            for round_, often in rounds.items()
            for task in MANIFEST.tasks
            for shard in shards
        }

    def _at_keys(
        self, keys: Mapping[int, tuple[float, float]], flow: Flow, nodes: int, *, stores: bool
    ) -> None:
        """Assign a flow to the nodes nearest to keys."""
        if not flow.calls:
            return
        outcome = self._outcome
        often = np.array([often for often, _ in keys.values()])
        live = often * [len(outcome.publications.live(key, at)) + 1e-9 for key, (_, at) in keys.items()]
        found = flow.found * self._factor * live / live.sum()
        times = self._rng.poisson(flow.calls * self._factor * often / often.sum())
        for key, calls, bytes_found in zip(keys, times, found, strict=True):
            near = list(outcome.crowd.nearest(key, NEAR)[:nodes])
            self._add(near, np.full(len(near), calls / len(near)), flow, stores=stores)
            self._answered[near[:REPLICAS]] += bytes_found / REPLICAS

    def _anywhere(self, flow: Flow, *, stores: bool) -> None:
        size = self._outcome.setting.size
        if flow.calls:
            times = self._rng.poisson(flow.calls * self._factor / size, size).astype(float)
            self._add(list(range(size)), times, flow, stores=stores)
            self._answered += flow.found * self._factor / size

    def _add(self, nodes: list[int], times: Numbers, flow: Flow, *, stores: bool) -> None:
        self._calls[nodes] += times
        self._asked[nodes] += times * (flow.asked / flow.calls)
        self._answered[nodes] += times * (flow.answered / flow.calls)
        if stores:
            self._stored[nodes] += times
