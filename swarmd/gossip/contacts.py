"""Which peers this one has dealt with, and what it believes because of them.

Identities and signed statuses are free. Estimates about the swarm (its size, how full its keys are, where
other peers publish, what time it is) therefore use only contacts. A contact is connected now, or recently
delivered a group that was verified and taught something. Peers known only from statuses or announcements do
not count. The size also counts peers that were connected recently: idle connections are closed.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from protocol import SHARDS_MAX, PeerId, VerifiedAnnouncement, shard_of
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.trials import Trials
from swarmd.network.address_groups import group_of_address
from swarmd.network.interface import Standing, Way

PARTIES_REMEMBERED = 8_192  # about as many identities as a few reads return
COUNT_EVERY_S = 1.0  # estimates about the swarm need not be newer
SILENT_DRAWS = 1 / 4  # of the draws go to contacts whose announcements were never read, if others' were

UNMET = "unmet"
"""The single party of all peers whose groups have only ever arrived through the DHT."""
UNMET_KNOWN = "unmet, known"
"""The single party of those among them that are known. It takes turns like any other party."""


@dataclass(frozen=True)
class Acquaintance:
    """What one peer delivered that taught something. Kept across restarts."""

    peer_id: PeerId
    groups: int
    first: float
    """Unix seconds of the first and the last group."""
    last: float
    met_at: str | None = None
    """The address group from which it last delivered over its own connection; None if it never did."""


@dataclass(frozen=True)
class Party:
    """The peers that count as one when taking turns."""

    name: str
    standing: Standing
    on_trial: bool = False
    """Its peers came later than others that deliver, and must still wait (`trials.py`)."""

    @property
    def is_held_back(self) -> bool:
        """Whether, in draws, it shares the strangers' portion while other peers deliver."""
        return self.on_trial or self.standing <= Standing.STRANGER


@dataclass
class _Width:
    """The largest shard count seen in a contact's announcements, in its newest round and the one before."""

    round: int = -1
    now: int = 1
    before: int = 1

    def see(self, round_: int, width: int) -> None:
        if round_ > self.round:
            self.round, self.before, self.now = round_, self.now if round_ == self.round + 1 else width, width
        else:
            self.now = max(self.now, width)


@dataclass(frozen=True)
class _Deliveries:
    """When one contact last delivered, and how many times by chance, since it became a contact."""

    last: float
    times: int


class Contacts:
    """A bounded memory of deliveries and connections. Pure; `now` is in Unix seconds."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._acquaintances: dict[PeerId, Acquaintance] = {}
        self._lately: dict[PeerId, _Deliveries] = {}
        self._connected: dict[PeerId, str] = {}
        self._parted: dict[PeerId, tuple[str, float]] = {}
        """Peers that were connected, with their address group and when the connection was last seen."""
        self._widths: dict[PeerId, _Width] = {}
        self._trusted: set[PeerId] = set()
        self._trials = Trials(limits)
        self._met_at = -math.inf
        self._connections: Mapping[PeerId, str] = {}
        self._parties: dict[tuple[PeerId, bool], Party] = {}
        """A cache of `party` since the last change."""
        self._counts: Counter[str] = Counter()
        self._target = 1.0
        self._counted_at = -math.inf
        self._size = 1.0
        self._size_at = math.inf

    # Events ----------------------------------------------------------------------------------------

    def remembered(self, acquaintances: Iterable[Acquaintance]) -> None:
        """Load the acquaintances from earlier runs."""
        self._parties.clear()
        for acquaintance in acquaintances:
            self._acquaintances[acquaintance.peer_id] = acquaintance
            if acquaintance.met_at is not None:
                self._trials.taught(acquaintance.peer_id, acquaintance.first, acquaintance.last)

    @property
    def connections(self) -> Mapping[PeerId, str]:
        """The transport's connections as last reported."""
        return self._connections

    def connected(self, connections: Mapping[PeerId, str], now: float) -> None:
        """Take the transport's connections. Per address group, the oldest `connected_per_group` count."""
        if connections == self._connections:
            return
        self._trials.connected(connections, now)
        self._connections = dict(connections)
        self._parties.clear()
        taken: Counter[str] = Counter()
        kept: dict[PeerId, str] = {}
        known_first = sorted(connections, key=lambda peer: peer not in self._connected)
        for peer in known_first:
            group = group_of_address(connections[peer])
            if taken[group] < self._limits.connected_per_group:
                taken[group] += 1
                kept[peer] = group
        for peer in self._connected.keys() - kept.keys():
            self._parted[peer] = self._connected[peer], now
        for peer in kept:
            self._parted.pop(peer, None)
        self._connected = kept

    def delivered(
        self, peer: PeerId, way: Way, address: str | None, now: float, *, told: bool = False
    ) -> Acquaintance:
        """A group of `peer` was verified, scored here, and teaches something.

        `told`: the peer itself told of the group, so it was not met by chance.
        """
        met = group_of_address(address) if way is not Way.INLINE else None
        known = self._acquaintances.pop(peer, None) or Acquaintance(peer, 0, now, now)
        entry = replace(known, groups=known.groups + 1, last=now, met_at=met or known.met_at)
        self._acquaintances[peer] = entry
        self._forget_parties(peer)
        self._make_room(now)
        times = self._lately.pop(peer).times if self._is_lately(peer, now) else 0
        self._lately[peer] = _Deliveries(now, times + (not told or not times))
        if len(self._lately) > self._limits.acquaintances_max:
            del self._lately[next(iter(self._lately))]
        if met is not None:
            self._trials.taught(peer, now, now)
        if self.party(peer, now, proved=True).standing >= Standing.MET:
            self._met_at = now
        return entry

    def lost(self, peer: PeerId) -> None:
        """The peer can no longer be reached. It is not a contact until it delivers again."""
        self._lately.pop(peer, None)
        self._widths.pop(peer, None)

    def disgraced(self, peer: PeerId) -> None:
        """The peer lied, so its earlier deliveries no longer count."""
        self.lost(peer)
        self._acquaintances.pop(peer, None)
        self._trials.forget(peer)
        self._forget_parties(peer)

    def trust(self, peer: PeerId, trusted: bool) -> None:
        """The operator trusts the peer, or no longer does."""
        self._forget_parties(peer)
        if trusted:
            self._trusted.add(peer)
        else:
            self._trusted.discard(peer)

    def announced(self, found: VerifiedAnnouncement) -> None:
        """Note the shard in which a contact publishes. Call for contacts only."""
        announcement, peer = found.announcement, found.publisher
        width = _width(announcement.shard, shard_of(peer, announcement.task_id, SHARDS_MAX))
        if width:
            self._widths.setdefault(peer, _Width()).see(announcement.round, width)

    # Standing and estimates ------------------------------------------------------------------------

    def is_contact(self, peer: PeerId, now: float) -> bool:
        return peer in self._connected or self._is_lately(peer, now)

    def is_trusted(self, peer: PeerId) -> bool:
        return peer in self._trusted

    def current(self, now: float) -> list[PeerId]:
        """Return the current contacts."""
        self._expire(now)
        return [*self._lately, *(peer for peer in self._connected if peer not in self._lately)]

    def vouching(self, now: float) -> list[PeerId]:
        """Return the contacts whose announcements count as load. Strangers' do not while others deliver."""
        contacts = self.current(now)
        if not self.met_lately(now):
            return contacts
        return [peer for peer in contacts if self.party(peer, now, proved=False).name != UNMET]

    def acquaintance(self, peer: PeerId) -> Acquaintance | None:
        return self._acquaintances.get(peer)

    def is_known(self, peer: PeerId, now: float) -> bool:
        """Whether the operator trusts the peer, or it taught this one long enough and was not forgotten."""
        if peer in self._trusted:
            return True
        entry, limits = self._acquaintances.get(peer), self._limits
        return (
            entry is not None
            and entry.groups >= limits.known_groups
            and entry.last - entry.first >= limits.known_after_s
            and now - entry.last < limits.known_for_s
        )

    def standing(self, peer: PeerId, now: float) -> Standing:
        """Return the standing of a peer that is not banned."""
        if self.is_known(peer, now):
            return Standing.KNOWN
        entry = self._acquaintances.get(peer)
        met = peer in self._connected or (entry is not None and entry.met_at is not None)
        return Standing.MET if met else Standing.STRANGER

    def party(self, peer: PeerId, now: float, *, proved: bool) -> Party:
        """Return the party whose turns `peer` shares.

        `proved`: only a delivery over the peer's own connection determines its address group. Otherwise a
        connection is enough, as for a first pull.
        """
        found = self._parties.get((peer, proved))
        if found is None:
            if len(self._parties) > PARTIES_REMEMBERED:
                self._parties.clear()
            found = self._parties[peer, proved] = self._party(peer, now, proved)
        if found.standing is Standing.MET and self._trials.is_on_trial(peer, now):
            return replace(found, on_trial=True)
        return found

    def _party(self, peer: PeerId, now: float, proved: bool) -> Party:
        if peer in self._trusted:
            return Party(peer, Standing.KNOWN)
        entry = self._acquaintances.get(peer)
        group = entry.met_at if entry is not None else None
        if group is None and not proved:
            group = self._connected.get(peer)
        if self.is_known(peer, now):
            return Party(group or UNMET_KNOWN, Standing.KNOWN)
        return Party(group, Standing.MET) if group else Party(UNMET, Standing.STRANGER)

    def met_lately(self, now: float) -> bool:
        """Whether a met or known peer delivered recently, so this one does not depend on strangers."""
        return abs(now - self._met_at) < self._limits.met_lately_s

    def parties(self, now: float) -> int:
        """Return the number of parties among the contacts."""
        self._count(now)
        return len(self._counts)

    def size(self, now: float) -> int:
        """Estimate the number of peers, including this one.

        The estimate takes at least `size_doubles_s` to double or halve.
        """
        self._count(now)
        if not self._size_at <= now:  # the first call, or the clock jumped back
            self._size_at = now
        factor = 2 ** min((now - self._size_at) / self._limits.size_doubles_s, 64.0)
        self._size = min(max(self._target, self._size / factor), max(2.0, self._size) * factor)
        self._size_at = now
        return max(1, round(self._size))

    def drawn(self, rng: random.Random, now: float) -> PeerId | None:
        """Return a random contact, drawing a party first and then one of its peers. None without contacts.

        Most draws choose contacts whose announcements were read, if there are any. Peers that connect and
        publish nothing must not divert the search.
        """
        contacts = self.current(now)
        read = [peer for peer in contacts if peer in self._widths]
        if read and len(read) < len(contacts):
            silent = [peer for peer in contacts if peer not in self._widths]
            contacts = silent if rng.random() < SILENT_DRAWS else read
        by_party: defaultdict[str, list[PeerId]] = defaultdict(list)
        for peer in contacts:
            by_party[self.party(peer, now, proved=False).name].append(peer)
        return rng.choice(by_party[rng.choice(sorted(by_party))]) if by_party else None

    def width(self, peer: PeerId) -> int | None:
        """Return the shard count that a contact uses, as far as its announcements show; None without any."""
        seen = self._widths.get(peer)
        return max(seen.now, seen.before) if seen is not None else None

    # -----------------------------------------------------------------------------------------------

    def _is_lately(self, peer: PeerId, now: float) -> bool:
        found = self._lately.get(peer)
        return found is not None and abs(now - found.last) < self._limits.contact_s

    def _unheard(self, now: float) -> float:
        """Estimate the peers that have not delivered yet, per contact, at most one.

        Good-Turing: if all peers had been heard, deliveries would repeat. The share of deliveries by peers
        heard exactly once estimates the share of peers not heard yet.
        """
        heard = [self._lately[peer] for peer in self.vouching(now) if peer in self._lately]
        deliveries = sum(found.times for found in heard)
        once = sum(found.times == 1 for found in heard)
        return min(1.0, once / max(1, deliveries - once))

    def _count(self, now: float) -> None:
        """Count the contacts of each party and estimate the number of peers, at most once a second.

        A crowd of connections, or of identities whose bodies are in the DHT, must not widen the range in
        which this peer searches and publishes. Connected peers that deliver nothing therefore count only as
        far as the deliveries suggest that some peers are not heard yet. While met peers deliver, strangers
        that were never met count for at most as many peers.
        """
        if 0 <= now - self._counted_at < COUNT_EVERY_S:
            return
        self._counted_at = now
        self._counts = Counter(self.party(peer, now, proved=False).name for peer in self.current(now))
        heard = Counter(self.party(peer, now, proved=False).name for peer in self._lately)
        most = self._limits.contacts_per_group
        met = sum(min(count, most) for name, count in heard.items() if name != UNMET)
        unmet = min(heard[UNMET], met if self.met_lately(now) else most)
        unheard = self._unheard(now)
        silent = ((self._counts - heard).total() + self._parted_lately(now)) * (unheard if heard else 1.0)
        self._target = 1 + (met + unmet + silent) * (1 + unheard)

    def _parted_lately(self, now: float) -> int:
        """Count the peers that were connected recently and delivered nothing.

        Per address group, these and the connected ones together count up to `connected_per_group`, so names
        that take turns on one connection count no more than names that stay.
        """
        limits = self._limits
        while len(self._parted) > limits.acquaintances_max:
            del self._parted[next(iter(self._parted))]
        gone = [peer for peer, (_, at) in self._parted.items() if abs(now - at) >= limits.parted_s]
        for peer in gone:
            del self._parted[peer]
        taken = Counter(self._connected.values())
        parted = Counter(group for peer, (group, _) in self._parted.items() if peer not in self._lately)
        return sum(
            min(count, max(0, limits.connected_per_group - taken[group])) for group, count in parted.items()
        )

    def _expire(self, now: float) -> None:
        gone = [peer for peer in self._lately if not self._is_lately(peer, now)]
        for peer in gone:
            del self._lately[peer]
        if len(self._widths) > 2 * self._limits.acquaintances_max:
            self._widths = {p: width for p, width in self._widths.items() if self.is_contact(p, now)}

    def _forget_parties(self, peer: PeerId) -> None:
        for proved in (True, False):
            self._parties.pop((peer, proved), None)

    def _make_room(self, now: float) -> None:
        """Forget the least known peer, so that a crowd of newcomers cannot displace known peers."""
        if len(self._acquaintances) > self._limits.acquaintances_max:
            newcomer = next((p for p in self._acquaintances if not self.is_known(p, now)), None)
            forgotten = newcomer or next(iter(self._acquaintances))
            self._acquaintances.pop(forgotten)
            self._forget_parties(forgotten)


def _width(shard: int, widest: int) -> int | None:
    """Return the smallest shard count that gives index `shard`; `widest`: the index under the largest."""
    for bits in range(SHARDS_MAX.bit_length()):
        if widest % (1 << bits) == shard:
            return 1 << bits
    return None
