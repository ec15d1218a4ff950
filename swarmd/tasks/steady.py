"""Checks that a task is the same each time it is generated; otherwise receivers could not verify it. Pure.

A question must depend on nothing but seed and index, and an observation on nothing but the question and the
answers so far. These checks detect a task that uses an unseeded random generator or reads the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any, ClassVar, cast

from swarmd.tasks.episodes import hidden_part, is_plain, reply_to, require_short, turns_of
from swarmd.tasks.imaging import images_for
from swarmd.tasks.source import RefusedTaskError, Task, TurnsTask

TRIAL_ANSWERS = ("1", None, "7", "yes", "a")
"""The answers given to a task of several turns, in this order and repeated."""

Facts = list[str]


class UnsteadyTaskError(RefusedTaskError):
    """A task that differs each time it is generated."""

    kind: ClassVar[str] = "unsteady"


def facts_of(task: Task | TurnsTask, seed: int, index: int) -> Facts:
    """The question, its images, and the replies to `TRIAL_ANSWERS`. Raises whatever the task raises."""
    text, entry = task.question(seed, index)
    require_short(text)
    turns, images = turns_of(task), images_for(task, entry)
    if is_plain(turns, images):
        return [text]
    drawn = ",".join(image.digest.hex() for image in images)
    hidden = hidden_part(task, entry, seed, index)
    require_short(text, hidden)
    facts = [text, hidden, drawn]
    if turns == 1:
        return facts
    several = cast(TurnsTask, task)
    admits: Callable[[str, Any], bool] = getattr(task, "admits", lambda *_: True)
    answers = [
        answer if answer is not None and admits(answer, entry) else None
        for answer in islice(cycle(TRIAL_ANSWERS), turns)
    ]
    for count in range(1, turns):
        said = reply_to(several, entry, answers[:count])
        if said is None:
            break
        facts.append(said)
    return facts


def require_same(first: Sequence[str], second: Sequence[str]) -> None:
    """Raise UnsteadyTaskError if a task gave different facts the second time, and say which."""
    for place, (before, after) in enumerate(zip(first, second, strict=False)):
        if before != after:
            named = ("its question", "its hidden part", "one of its images")
            what = named[place] if place < len(named) else "its reply to a turn"
            raise UnsteadyTaskError(
                f"{what} differs when generated again: {before!r:.60}, then {after!r:.60}. It must "
                "depend on nothing but seed, index and the answers so far"
            )
    if len(first) != len(second):
        raise UnsteadyTaskError("it ends after a different number of turns when played again")
