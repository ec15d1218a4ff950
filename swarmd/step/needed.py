"""What this peer can and others cannot: how much of its own asking each task family gets.

Others' success is what their verified groups showed here. Nobody publishes a group without a right answer, so
groups that were hidden are added (`unhidden`). Silence on a family says that a party fails at it, the more so
the more groups it showed of others. A party of which little was seen is taken to be as good as this peer.
Parties count alike, so one of n parties moves a family's lead by at most 1/n, whatever it publishes.

Pure: groups and own success in, weights out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from protocol import TaskFamily, is_person
from protocol.limits import TASKS_MAX
from swarmd.groups import ScoredGroup
from swarmd.learning.experience import unhidden

MEMORY = 128
"""About how many groups of a party are remembered: some dozens of its rounds, in which it learns."""

PARTIES_MAX = 64
"""Parties; beyond it, those heard of longest ago are forgotten. A mean over more would hardly differ."""

SEEN_MAX = 4_096
"""Groups known to have been counted: twice what a pool holds, because a group waits there for several
steps."""

LEAD_SCALE = 0.1
"""Own success at which half of a lead counts, so that chance among rare right answers is no lead."""

FULL_LEAD = 0.5
"""The lead from which on the whole share is asked by need; below it, as much less."""

ASKED_AT_LEAST = 0.5
"""A silent party is taken to have asked a family at half of the manifest's rate: it may lean to others."""

SILENT_MAX = 512
"""Groups by others after which a party that sent none of them is forgotten: it left, or was never more than a
name."""

Tally = tuple[float, float, float]
"""Sum of mean rewards, number of groups and of completions, all of the last `MEMORY` groups of a party."""

NOTHING: Tally = (0.0, 0.0, 0.0)

State = dict[str, dict[str, Tally]]
"""By party and task id."""


@dataclass
class Shown:
    """What parties showed by task family."""

    _parties: dict[str, dict[str, Tally]] = field(default_factory=dict)
    _seen: dict[bytes, None] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)
    """How many groups had come when the party's last one came."""
    _came: int = 0

    def see(self, groups: Iterable[ScoredGroup], party_of: Callable[[str], str]) -> None:
        """Take in verified groups by others, each once. People are left out: they do not learn from
        groups."""
        for group in groups:
            if is_person(group.model) or (group.digest is not None and group.digest in self._seen):
                continue
            if group.digest is not None:
                self._seen[group.digest] = None
            if len(self._seen) > SEEN_MAX:
                del self._seen[next(iter(self._seen))]
            self._count(party_of(group.publisher), group)
        silent = [party for party, at in self._heard.items() if self._came - at > SILENT_MAX]
        for party in silent:
            self._forget(party)

    def _forget(self, party: str) -> None:
        del self._parties[party]
        del self._heard[party]

    def _count(self, party: str, group: ScoredGroup) -> None:
        kept = 1 - 1 / MEMORY
        tallies = {
            task: (reward * kept, groups * kept, completions * kept)
            for task, (reward, groups, completions) in self._parties.pop(party, {}).items()
        }
        reward, groups, completions = tallies.pop(group.task_id.hex(), NOTHING)
        more = (reward + group.mean_reward, groups + 1, completions + len(group.completions))
        tallies[group.task_id.hex()] = more
        if len(tallies) > TASKS_MAX:
            del tallies[next(iter(tallies))]
        self._parties[party] = tallies
        self._came += 1
        self._heard[party] = self._came
        if len(self._parties) > PARTIES_MAX:
            self._forget(next(iter(self._parties)))

    def leads(self, families: Sequence[tuple[bytes, float, float]]) -> list[float]:
        """How far others are behind this peer on each family, in [0, 1): the mean over parties.

        `families`: task id, own success, and share of the manifest's weights of each.
        """
        behind = [0.0] * len(families)
        for tallies in self._parties.values():
            published = sum(groups for _, groups, _ in tallies.values())
            for index, (task_id, own, weight) in enumerate(families):
                if own > 0:
                    tally = tallies.get(task_id.hex(), NOTHING)
                    behind[index] += max(0.0, own - self._success(tally, published, own, weight))
        parties = max(1, len(self._parties))
        return [
            total / parties / (own + LEAD_SCALE) for total, (_, own, _) in zip(behind, families, strict=True)
        ]

    @staticmethod
    def _success(tally: Tally, published: float, own: float, weight: float) -> float:
        """What a party showed of a family, and one group of `own` success. `published`: all its groups.

        As few groups say little about those that are hidden, it asked at most as many of the family as it
        published in all.
        """
        reward, groups, completions = tally
        asked = ASKED_AT_LEAST * weight * published
        if groups:
            success = unhidden(reward / groups, completions / groups)
            asked = max(asked, min(reward / success, published) if success else published)
        return (reward + own) / (asked + 1)

    def to_state(self) -> State:
        """The state as JSON holds it. Which groups were counted is left out: after a restart those that
        still wait in the pool count twice."""
        return {party: dict(tallies) for party, tallies in self._parties.items()}

    def restore(self, state: Mapping[str, Mapping[str, Tally]]) -> None:
        """Put back what `to_state` gave."""
        self._parties = {party: dict(tallies) for party, tallies in state.items()}
        self._heard = dict.fromkeys(self._parties, self._came)


def asking(
    families: Sequence[TaskFamily], success: Mapping[bytes, float], shown: Shown, share: float
) -> tuple[float, ...] | None:
    """The probability of each of `families` in the next own question, or None: by the manifest's weights.

    `share` of the questions goes to families by this peer's lead there, and less if even the largest lead is
    below `FULL_LEAD`: where others lack little, little is asked for them. The rest goes by the manifest's
    weights. `success` is own mean reward by task id.
    """
    if not share:
        return None
    total = sum(family.weight for family in families)
    plain = [family.weight / total for family in families]
    leads = shown.leads(
        [
            (family.task_id, success.get(family.task_id, 0.0), weight)
            for family, weight in zip(families, plain, strict=True)
        ]
    )
    needed = [weight * lead for weight, lead in zip(plain, leads, strict=True)]
    if not any(needed):
        return None
    leaning = share * min(1.0, max(leads) / FULL_LEAD)
    return tuple(
        (1 - leaning) * weight + leaning * need / sum(needed)
        for weight, need in zip(plain, needed, strict=True)
    )
