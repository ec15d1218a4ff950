"""Whether a task is the same each time it is made: otherwise no receiver could judge what others wrote. Pure.

A question may depend on nothing but seed and index, an observation on nothing but the question and the
answers so far. A task that draws from a generator of its own process, or reads the clock, shows here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any, ClassVar, cast

from swarmd.tasks.episodes import hidden_part, is_plain, reply_to, require_short, turns_of
from swarmd.tasks.imaging import images_for
from swarmd.tasks.source import RefusedTaskError, Task, TurnsTask

TRIAL_ANSWERS = ("1", None, "7", "yes", "a")
"""What a task of several turns is told, in this order and again from the beginning."""

Facts = list[str]


class UnsteadyTaskError(RefusedTaskError):
    """A task that is not the same each time."""

    kind: ClassVar[str] = "unsteady"


def facts_of(task: Task | TurnsTask, seed: int, index: int) -> Facts:
    """The question, its images, and what the task says to `TRIAL_ANSWERS`. Raises what the task raises."""
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
    """Raises UnsteadyTaskError if a task gave other facts the second time, and says which."""
    for place, (before, after) in enumerate(zip(first, second, strict=False)):
        if before != after:
            named = ("its question", "what is hidden in it", "one of its images")
            what = named[place] if place < len(named) else "what it says to a turn"
            raise UnsteadyTaskError(
                f"{what} is not the same when it is made again: {before!r:.60}, then {after!r:.60}. It may "
                "depend on nothing but seed, index and the answers so far"
            )
    if len(first) != len(second):
        raise UnsteadyTaskError("it is over after another number of turns when it is played again")
