"""Keeps one right answer from crowding out the others in a draw. Pure.

A publisher chooses its own questions. If all of them have the same right answer, each group is honest, so
verification finds nothing, and its readers still learn to give that answer to other questions. The candidates
of a task are therefore thinned until no answer is much more frequent than the task's other answers.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

from swarmd.gossip.turns import allot
from swarmd.groups import ScoredGroup
from swarmd.tasks import extract_answer

REPEATS_MAX = 2.0
"""How often an answer may occur among the candidates, in means of the task's other answers."""

REPEATS_ALWAYS = 2
"""Candidates with the same answer that are always kept: two can be chance."""


Answer = tuple[str, ...]
"""What was answered in each turn."""


def without_repeated_answers(
    groups: Sequence[ScoredGroup], rng: random.Random, party_of: Callable[[str], str] = str
) -> list[ScoredGroup]:
    """Return `groups` in their order without surplus groups of an answer.

    `party_of`: publisher -> party. The parties that gave an answer share what is kept of it, so no party can
    crowd out the same answer of another. `rng` decides between groups of one party.
    """
    by_task: defaultdict[bytes, defaultdict[Answer, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, group in enumerate(groups):
        by_task[group.task_id][right_answer(group)].append(index)
    kept: set[int] = set()
    for answers in by_task.values():
        total = sum(map(len, answers.values()))
        for indices in answers.values():
            others = (total - len(indices)) / max(1, len(answers) - 1)
            most = max(REPEATS_ALWAYS, int(REPEATS_MAX * others))
            kept.update(_shared(indices, most, lambda index: party_of(groups[index].publisher), rng))
    return [group for index, group in enumerate(groups) if index in kept]


def right_answer(group: ScoredGroup) -> Answer:
    """The answers of the best completion that is trained on; the text of a turn without answer tags."""
    best = max(group.completions, key=lambda completion: (completion.bare, completion.reward))
    return tuple(extract_answer(turn.text) or turn.text for turn in best.turns)


def _shared(
    indices: Sequence[int], most: int, party_at: Callable[[int], str], rng: random.Random
) -> list[int]:
    """At most `most` of `indices`, shared evenly by party."""
    if len(indices) <= most:
        return list(indices)
    of_party: defaultdict[str, list[int]] = defaultdict(list)
    for index in indices:
        of_party[party_at(index)].append(index)
    seats = allot(most, {party: len(found) for party, found in of_party.items()}, rng)
    return [index for party, count in seats.items() for index in rng.sample(of_party[party], count)]
