"""Which peers this one has dealt with, and what it may believe because of them.

An identity costs nothing, and neither does a signed status. So beliefs about the swarm (its size, how full
its keys are, where others publish, what time it is) rest on contacts. A contact recently delivered a group
that was verified and taught something, or it is connected now. Names that were only read count for nothing.
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

PARTIES_REMEMBERED = 8_192  # about as many names as a few reads bring
COUNT_EVERY_S = 1.0  # beliefs about the swarm need not be newer
SILENT_DRAWS = 1 / 4  # of the contacts drawn were never read, while others were

UNMET = "unmet"
"""The one party of all peers whose groups only ever came through the DHT."""
UNMET_KNOWN = "unmet, known"
"""The one party of those among them that are known. It takes turns like any other party."""


@dataclass(frozen=True)
class Acquaintance:
    """What one peer delivered that taught something; remembered across restarts."""

    peer_id: PeerId
    groups: int
    first: float
    """Unix seconds of the first group, and of the last."""
    last: float
    met_at: str | None = None
    """The address group from which it last delivered over its own connection; None if it never did."""


@dataclass(frozen=True)
class Party:
    """The peers that count as one when turns are taken."""

    name: str
    standing: Standing
    on_trial: bool = False
    """Its peers came later than others that deliver, and have yet to wait (`trials.py`)."""

    @property
    def is_held_back(self) -> bool:
        """Whether it shares in draws what strangers may have, while others deliver."""
        return self.on_trial or self.standing <= Standing.STRANGER


@dataclass
class _Width:
    """The widest spread seen of a contact's announcements, in its newest round and the one before."""

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
    """Of one contact: when the last delivery came, and how many came since it became a contact."""

    last: float
    times: int


class Contacts:
    """Bounded memory of deliveries and connections; pure, `now` is unix seconds."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._acquaintances: dict[PeerId, Acquaintance] = {}
        self._lately: dict[PeerId, _Deliveries] = {}
        self._connected: dict[PeerId, str] = {}
        self._widths: dict[PeerId, _Width] = {}
        self._trusted: set[PeerId] = set()
        self._trials = Trials(limits)
        self._met_at = -math.inf
        self._connections: Mapping[PeerId, str] = {}
        self._parties: dict[tuple[PeerId, bool], Party] = {}
        """Answers of `party` since the last change."""
        self._counts: Counter[str] = Counter()
        self._target = 1.0
        self._counted_at = -math.inf
        self._size = 1.0
        self._size_at = math.inf

    # What happens ----------------------------------------------------------------------------------

    def remembered(self, acquaintances: Iterable[Acquaintance]) -> None:
        """Take over acquaintances from earlier runs."""
        self._parties.clear()
        for acquaintance in acquaintances:
            self._acquaintances[acquaintance.peer_id] = acquaintance
            if acquaintance.met_at is not None:
                self._trials.taught(acquaintance.peer_id, acquaintance.first, acquaintance.last)

    @property
    def connections(self) -> Mapping[PeerId, str]:
        """The transport's connections, as taken last."""
        return self._connections

    def connected(self, connections: Mapping[PeerId, str], now: float) -> None:
        """Take the transport's connections. Of each address group the oldest `connected_per_group` count."""
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
        self._connected = kept

    def delivered(self, peer: PeerId, way: Way, address: str | None, now: float) -> Acquaintance:
        """A group of `peer` was verified, scored here, and teaches something."""
        met = group_of_address(address) if way is not Way.INLINE else None
        known = self._acquaintances.pop(peer, None) or Acquaintance(peer, 0, now, now)
        entry = replace(known, groups=known.groups + 1, last=now, met_at=met or known.met_at)
        self._acquaintances[peer] = entry
        self._forget_parties(peer)
        self._make_room(now)
        times = self._lately.pop(peer).times if self._is_lately(peer, now) else 0
        self._lately[peer] = _Deliveries(now, times + 1)
        if len(self._lately) > self._limits.acquaintances_max:
            del self._lately[next(iter(self._lately))]
        if met is not None:
            self._trials.taught(peer, now, now)
        if self.party(peer, now, proved=True).standing >= Standing.MET:
            self._met_at = now
        return entry

    def lost(self, peer: PeerId) -> None:
        """The peer cannot be reached any more: it is no contact until it delivers again."""
        self._lately.pop(peer, None)
        self._widths.pop(peer, None)

    def disgraced(self, peer: PeerId) -> None:
        """The peer lied: what it delivered before no longer counts."""
        self.lost(peer)
        self._acquaintances.pop(peer, None)
        self._trials.forget(peer)
        self._forget_parties(peer)

    def trust(self, peer: PeerId, trusted: bool) -> None:
        """The operator's word."""
        self._forget_parties(peer)
        if trusted:
            self._trusted.add(peer)
        else:
            self._trusted.discard(peer)

    def announced(self, found: VerifiedAnnouncement) -> None:
        """Note where a contact publishes. Call it for contacts only."""
        announcement, peer = found.announcement, found.publisher
        width = _width(announcement.shard, shard_of(peer, announcement.task_id, SHARDS_MAX))
        if width:
            self._widths.setdefault(peer, _Width()).see(announcement.round, width)

    # What is believed ------------------------------------------------------------------------------

    def is_contact(self, peer: PeerId, now: float) -> bool:
        return peer in self._connected or self._is_lately(peer, now)

    def is_trusted(self, peer: PeerId) -> bool:
        return peer in self._trusted

    def current(self, now: float) -> list[PeerId]:
        """The contacts of this moment."""
        self._expire(now)
        return [*self._lately, *(peer for peer in self._connected if peer not in self._lately)]

    def vouching(self, now: float) -> list[PeerId]:
        """The contacts whose announcements count as load: while others deliver, strangers' do not."""
        contacts = self.current(now)
        if not self.met_lately(now):
            return contacts
        return [peer for peer in contacts if self.party(peer, now, proved=False).name != UNMET]

    def acquaintance(self, peer: PeerId) -> Acquaintance | None:
        return self._acquaintances.get(peer)

    def is_known(self, peer: PeerId, now: float) -> bool:
        """The operator trusts it, or it taught this peer for a long time and is not forgotten."""
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
        """The standing of a peer that is not banned."""
        if self.is_known(peer, now):
            return Standing.KNOWN
        entry = self._acquaintances.get(peer)
        met = peer in self._connected or (entry is not None and entry.met_at is not None)
        return Standing.MET if met else Standing.STRANGER

    def party(self, peer: PeerId, now: float, *, proved: bool) -> Party:
        """The party whose turns `peer` shares.

        `proved`: only a delivery over its own connection shows where the peer is. Otherwise a connection is
        enough, as for a first pull.
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
        """Whether a met or known peer delivered recently: then strangers are not all there is."""
        return abs(now - self._met_at) < self._limits.met_lately_s

    def parties(self, now: float) -> int:
        """How many parties the contacts form."""
        self._count(now)
        return len(self._counts)

    def size(self, now: float) -> int:
        """About how many peers there are, this one included.

        The estimate takes at least `size_doubles_s` to double or halve.
        """
        self._count(now)
        if not self._size_at <= now:  # the first time, or a clock that jumped back
            self._size_at = now
        factor = 2 ** min((now - self._size_at) / self._limits.size_doubles_s, 64.0)
        self._size = min(max(self._target, self._size / factor), max(2.0, self._size) * factor)
        self._size_at = now
        return max(1, round(self._size))

    def drawn(self, rng: random.Random, now: float) -> PeerId | None:
        """A random contact: a party is drawn first, then one of its peers. None without contacts.

        Most draws are of contacts whose announcements were read, if there are any: whoever is connected and
        publishes nothing must not turn the search away from those that do.
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
        """Over how many shards a contact publishes, as far as its announcements show; None without any."""
        seen = self._widths.get(peer)
        return max(seen.now, seen.before) if seen is not None else None

    # -----------------------------------------------------------------------------------------------

    def _is_lately(self, peer: PeerId, now: float) -> bool:
        found = self._lately.get(peer)
        return found is not None and abs(now - found.last) < self._limits.contact_s

    def _unheard(self, now: float) -> float:
        """Peers that delivered nothing yet, per contact; at most one.

        If all peers were heard, each delivers again and again. The share of deliveries by peers that were
        heard once is the share that the unheard would deliver (Good and Turing).
        """
        heard = [self._lately[peer] for peer in self.vouching(now) if peer in self._lately]
        deliveries = sum(found.times for found in heard)
        once = sum(found.times == 1 for found in heard)
        return min(1.0, once / max(1, deliveries - once))

    def _count(self, now: float) -> None:
        """Count the contacts of each party, and estimate the peers. Once a second: there may be thousands.

        Neither a crowd of connections nor a crowd of names whose bodies lie in the DHT may make this peer
        search, and publish, ever wider. So whoever is connected and delivers nothing counts only as far as
        deliveries suggest that some are yet unheard. While met peers deliver, strangers that were never met
        count for at most as many.
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
        silent = (self._counts - heard).total() * (unheard if heard else 1.0)
        self._target = 1 + (met + unmet + silent) * (1 + unheard)

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
        """Forget the peer that is known least: a crowd of newcomers must not wipe out the known."""
        if len(self._acquaintances) > self._limits.acquaintances_max:
            newcomer = next((p for p in self._acquaintances if not self.is_known(p, now)), None)
            forgotten = newcomer or next(iter(self._acquaintances))
            self._acquaintances.pop(forgotten)
            self._forget_parties(forgotten)


def _width(shard: int, widest: int) -> int | None:
    """The smallest shard count under which a peer's index is `shard`, if it is `widest` under the largest."""
    for bits in range(SHARDS_MAX.bit_length()):
        if widest % (1 << bits) == shard:
            return 1 << bits
    return None
