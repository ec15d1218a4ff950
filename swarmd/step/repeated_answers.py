"""Keeps one right answer from crowding out the others in what a peer trains on. Pure.

A publisher chooses its own questions. If all of them have the same right answer, each group is honest, so
verification finds nothing, and its readers still learn to give that answer to other questions. A peer
therefore remembers the answers that it drew. It leaves out candidates whose answer it drew much more often
than the other answers of the task, and much more often than its own questions have it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

from swarmd.gossip.turns import allot
from swarmd.groups import REWARD_RESOLUTION, ScoredCompletion, ScoredGroup
from swarmd.tasks import extract_answer

MEMORY = 512
"""Groups remembered, drawn and own each: some dozens of steps, or 64 groups of each of eight tasks."""

REPEATS_MAX = 2.0
"""How often an answer may be drawn: in multiples of a typical other, or of its share in own questions."""

REPEATS_ALWAYS = 2
"""How often any answer may be drawn: two can be chance."""

State = dict[str, list[tuple[str, str]]]
"""drawn, own -> task id and answer of each group, oldest first."""


class DrawnAnswers:
    """The right answers of the groups that a peer drew recently, and of its own groups."""

    def __init__(self) -> None:
        self._drawn: deque[tuple[str, str]] = deque(maxlen=MEMORY)
        self._own: deque[tuple[str, str]] = deque(maxlen=MEMORY)

    def see(self, own: Sequence[ScoredGroup], drawn: Sequence[ScoredGroup]) -> None:
        """Record the groups of a step. An own group without a right answer counts as a question; one that no
        judge judged, as nothing."""
        self._drawn.extend((group.task_id.hex(), right_answer(group)) for group in drawn)
        for group in [each for each in own if each.is_judged]:
            is_right = max(group.rewards) > 1 - REWARD_RESOLUTION / 2
            self._own.append((group.task_id.hex(), right_answer(group) if is_right else ""))

    def without_frequent(
        self, groups: Sequence[ScoredGroup], rng: random.Random, party_of: Callable[[str], str] = str
    ) -> list[ScoredGroup]:
        """Return `groups` in their order, without those that would make an answer too frequent.

        `party_of`: publisher -> party. The parties that gave an answer share what is left for it, so no party
        can crowd out the same answer of another. `rng` decides between groups of one party.
        """
        drawn, own = _by_task(self._drawn), _by_task(self._own)
        by_answer: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, group in enumerate(groups):
            by_answer[group.task_id.hex(), right_answer(group)].append(index)
        kept: set[int] = set()
        for (task, answer), indices in by_answer.items():
            left = most(answer, drawn[task], own[task]) - drawn[task][answer]
            kept.update(_shared(indices, left, lambda index: party_of(groups[index].publisher), rng))
        return [group for index, group in enumerate(groups) if index in kept]

    def to_state(self) -> State:
        return {"drawn": list(self._drawn), "own": list(self._own)}

    def restore(self, state: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Restore what `to_state` returned."""
        self._drawn.extend(state.get("drawn", ()))
        self._own.extend(state.get("own", ()))


def most(answer: str, drawn: Mapping[str, int], own: Mapping[str, int]) -> int:
    """How often `answer` may be among the drawn groups of a task.

    `drawn`: how often each answer was drawn. `own`: how often each was right for an own question; "" counts
    own questions without a right answer. The typical other answer is that of a random other group. A mean
    over the answers would let a publisher of many answers that occur once lower the limit of all others.
    """
    others = [count for other, count in drawn.items() if other != answer]
    typical = sum(count * count for count in others) / max(1, sum(others))
    natural = own.get(answer, 0) / max(1, sum(own.values())) * (1 + sum(drawn.values()))
    return max(REPEATS_ALWAYS, int(REPEATS_MAX * max(typical, natural)))


def right_answer(group: ScoredGroup) -> str:
    """Sixteen hex digits that stand for the last answer of the best completion that is trained on; without
    answer tags, for its whole last turn."""
    best = max(group.completions, key=_worth)
    return hashlib.sha256((extract_answer(best.text) or best.text).encode()).hexdigest()[:16]


def _worth(completion: ScoredCompletion) -> tuple[bool, float]:
    return completion.bare, completion.reward


def _by_task(groups: deque[tuple[str, str]]) -> defaultdict[str, Counter[str]]:
    """Task id -> how often each answer occurs."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for task, answer in groups:
        counts[task][answer] += 1
    return counts


def _shared(
    indices: Sequence[int], most: int, party_at: Callable[[int], str], rng: random.Random
) -> list[int]:
    """At most `most` of `indices`, none if it is negative, shared evenly by party."""
    if len(indices) <= most:
        return list(indices)
    of_party: defaultdict[str, list[int]] = defaultdict(list)
    for index in indices:
        of_party[party_at(index)].append(index)
    seats = allot(most, {party: len(found) for party, found in of_party.items()}, rng)
    return [index for party, count in seats.items() for index in rng.sample(of_party[party], count)]
