"""What this peer can do and other peers cannot: how its own questions are distributed over task families.

The success of other peers is estimated from their verified groups. A group without a right answer is never
published, so the estimate adds the hidden groups (`unhidden`). If a party shows no groups of a family, it
probably fails at that family; the more groups it shows of other families, the stronger the evidence. A party
of which little has been seen is assumed to be as good as this peer. All parties have equal weight, so one of
n parties moves a family's lead by at most 1/n, whatever it publishes.

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
"""About how many groups of a party are remembered: dozens of its rounds, during which it learns."""

PARTIES_MAX = 64
"""Beyond this number, the party heard from longest ago is forgotten. More would hardly change a mean."""

SEEN_MAX = 4_096
"""Digests of groups already counted: twice as many as a pool holds, because a group waits there for several
steps."""

LEAD_SCALE = 0.1
"""Own success at which half of a lead counts, so that a few lucky right answers make no lead."""

FULL_LEAD = 0.5
"""A lead this large lets the whole share be asked by need; a smaller lead, proportionally less."""

ASKED_AT_LEAST = 0.5
"""A silent party is assumed to ask a family at half of the manifest's rate, because it may prefer others."""

SILENT_MAX = 512
"""After this many groups by other parties, a silent party is forgotten: it has left, or never was more than a
name."""

Tally = tuple[float, float, float]
"""Sum of mean rewards, number of groups, and number of completions, over a party's last `MEMORY` groups."""

NOTHING: Tally = (0.0, 0.0, 0.0)

State = dict[str, dict[str, Tally]]
"""By party, then by task id."""


@dataclass
class Shown:
    """What parties have shown per task family."""

    _parties: dict[str, dict[str, Tally]] = field(default_factory=dict)
    _seen: dict[bytes, None] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)
    """The total number of groups when the party's last one arrived."""
    _came: int = 0

    def see(self, groups: Iterable[ScoredGroup], party_of: Callable[[str], str]) -> None:
        """Count verified groups by other peers, each once. People are left out, because they do not learn
        from groups."""
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
        """How far other peers are behind this one on each family, in [0, 1): the mean over parties.

        `families` holds for each family its task id, own success, and share of the manifest's weights.
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
        """A party's success on a family, with one group of `own` success added. `published`: all its groups.

        With few groups, little is known about the hidden ones, so it is assumed to have asked at most as many
        questions of the family as it published in total.
        """
        reward, groups, completions = tally
        asked = ASKED_AT_LEAST * weight * published
        if groups:
            success = unhidden(reward / groups, completions / groups)
            asked = max(asked, min(reward / success, published) if success else published)
        return (reward + own) / (asked + 1)

    def to_state(self) -> State:
        """The state as JSON. It omits which groups were counted, so groups that still wait in the pool count
        twice after a restart."""
        return {party: dict(tallies) for party, tallies in self._parties.items()}

    def restore(self, state: Mapping[str, Mapping[str, Tally]]) -> None:
        """Restore the result of `to_state`."""
        self._parties = {party: dict(tallies) for party, tallies in state.items()}
        self._heard = dict.fromkeys(self._parties, self._came)


def asking(
    families: Sequence[TaskFamily], success: Mapping[bytes, float], shown: Shown, share: float
) -> tuple[float, ...] | None:
    """The probability of each of `families` for the next own question; None: use the manifest's weights.

    `share` of the questions is distributed by this peer's lead in each family. The share shrinks if the
    largest lead is below `FULL_LEAD`, because other peers then need little. The rest follows the manifest's
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
