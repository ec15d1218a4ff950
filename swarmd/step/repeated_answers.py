"""Keeps one right answer from crowding out the others in a draw. Pure.

A publisher chooses its own questions. If all of them have the same right answer, each group is honest, so
verification finds nothing, and its readers still learn to give that answer to other questions. The candidates
of a task are therefore thinned until no answer is much more frequent than the task's other answers.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from swarmd.groups import ScoredGroup
from swarmd.tasks import extract_answer

REPEATS_MAX = 2.0
"""How often an answer may occur among the candidates, in means of the task's other answers."""

REPEATS_ALWAYS = 2
"""Candidates with the same answer that are always kept: two can be chance."""


def without_repeated_answers(groups: Sequence[ScoredGroup], rng: random.Random) -> list[ScoredGroup]:
    """Return `groups` in their order without surplus groups of an answer; `rng` decides which ones stay."""
    by_task: defaultdict[bytes, defaultdict[Answer, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, group in enumerate(groups):
        by_task[group.task_id][right_answer(group)].append(index)
    dropped: set[int] = set()
    for answers in by_task.values():
        total = sum(map(len, answers.values()))
        for indices in answers.values():
            others = (total - len(indices)) / max(1, len(answers) - 1)
            kept = max(REPEATS_ALWAYS, int(REPEATS_MAX * others))
            if len(indices) > kept:
                dropped.update(rng.sample(indices, len(indices) - kept))
    return [group for index, group in enumerate(groups) if index not in dropped]


Answer = tuple[str, ...]
"""What was answered in each turn."""


def right_answer(group: ScoredGroup) -> Answer:
    """The answers of the completion with the highest reward; the text of a turn without answer tags."""
    best = max(group.completions, key=lambda completion: completion.reward)
    return tuple(extract_answer(turn.text) or turn.text for turn in best.turns)
