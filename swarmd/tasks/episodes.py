"""Runs a task of several turns in the worker: its replies to the answers so far, and their score. Pure.

No state is kept between turns. The task receives all answers each time, so a receiver that has only the text
gets the same observations as the publisher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from protocol.held_out import prompt_digest, question_digest
from protocol.limits import MICRO, TURNS_MAX
from swarmd.errors import TaskError
from swarmd.images import Images
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.rewards import score_micro
from swarmd.tasks.source import RefusedTaskError, Task, TurnsTask

OBSERVATION_BYTES_MAX = 4_096
"""UTF-8 bytes, a page of text. With 15 of them, a prompt has some 16,000 tokens."""

QUESTION_BYTES_MAX = 49_152
"""UTF-8 bytes of a question's text and hidden part together. With 192 KiB of images each, the 32 questions of
a request are 7.9 MB, and a frame from the task worker holds 8.4 MB."""

Answers = Sequence[str | None]
"""One per turn; None if a turn has no answer, or one that the task does not admit."""


class BadTurnsError(RefusedTaskError):
    """A completion has more turns than its task allows."""

    kind = "turns"


class BadQuestionError(RefusedTaskError):
    """A question that is not text, or is too long."""

    kind = "question"


class Played(NamedTuple):
    """The outcome of a sequence of answers."""

    observations: tuple[str, ...]
    """One after each answer except the last."""
    micro: int
    """The score in millionths."""


class Solution(NamedTuple):
    """Right answers to a question."""

    answers: tuple[str, ...]
    """One per turn, without tags."""
    observations: tuple[str, ...]
    """One after each answer except the last."""

    @property
    def chars(self) -> int:
        """Characters of all answers and observations together."""
        return sum(map(len, (*self.answers, *self.observations)))


def turns_of(task: Task | TurnsTask) -> int:
    """How many turns a completion of `task` may have. Raises TaskError if the number is invalid."""
    turns = getattr(task, "turns", 1)
    if not isinstance(turns, int) or not 1 <= turns <= TURNS_MAX:
        raise TaskError(f"the task allows {turns!r} turns: it must be a whole number from 1 to {TURNS_MAX}")
    return turns


def is_plain(turns: int, images: Images) -> bool:
    """Whether a question has one turn and no images, so that its records are of version 1."""
    return turns == 1 and not images


def digest_of(text: str, turns: int, hidden: str, images: Images = ()) -> bytes:
    """The digest that identifies a question and decides whether it is held out. The rule depends on the
    task."""
    if is_plain(turns, images):
        return question_digest(text)
    return prompt_digest(text, [image.digest for image in images], hidden)


def hidden_part(task: Task | TurnsTask, entry: Any, seed: int, index: int) -> str:
    """Distinguishes a question of several turns, or with images, from others with the same text and
    images."""
    hidden: Callable[[Any], str] | None = getattr(task, "hidden", None)
    return f"{seed},{index}" if hidden is None else hidden(entry)


def require_short(text: object, hidden: object = "") -> None:
    """Raise BadQuestionError unless both are text, of at most `QUESTION_BYTES_MAX` bytes together."""
    if not isinstance(text, str):
        raise BadQuestionError(f"its question is {text!r:.60}, which is not text")
    if not isinstance(hidden, str):
        raise BadQuestionError(f"the hidden part of its question is {hidden!r:.60}, which is not text")
    size = len(text.encode()) + len(hidden.encode())
    if size > QUESTION_BYTES_MAX:
        raise BadQuestionError(
            f"its question and hidden part have {size} bytes, more than {QUESTION_BYTES_MAX}: "
            "`hidden` can return a hash instead"
        )


def reply_to(task: TurnsTask, entry: Any, answers: Answers) -> str | None:
    """The observation after `answers`; None if the task is over. Raises BadTurnsError and what the task
    raises."""
    turns = turns_of(cast(Task, task))
    if len(answers) > turns:
        raise BadTurnsError(f"{len(answers)} turns, but the task allows {turns}")
    if len(answers) == turns:
        return None
    observation = task.reply(answers, entry)
    if observation is None:
        return None
    if not isinstance(observation, str) or len(observation.encode()) > OBSERVATION_BYTES_MAX:
        raise TaskError(
            f"the task replied {observation!r:.60} to a turn: a reply must be text of at most "
            f"{OBSERVATION_BYTES_MAX} bytes"
        )
    return observation


def is_over(task: TurnsTask, entry: Any, answers: Answers) -> bool:
    """Whether the task ended after `answers`, or no turn is left. False if its reply fails."""
    try:
        return reply_to(task, entry, answers) is None
    except Exception:  # noqa: BLE001  a task may raise anything on text; it has then not ended
        return False


def play(task: TurnsTask, entry: Any, answers: Answers) -> Played:
    """All observations between `answers`, and their score.

    Raises BadTurnsError if there are answers after the task is over, and whatever `reply` raises.
    """
    observations = []
    for count in range(1, len(answers)):
        observation = reply_to(task, entry, answers[:count])
        if observation is None:
            raise BadTurnsError(f"{len(answers)} turns, but the task was over after {count}")
        observations.append(observation)
    if len(answers) > turns_of(cast(Task, task)):
        raise BadTurnsError(f"{len(answers)} turns, but the task allows {turns_of(cast(Task, task))}")
    return Played(tuple(observations), _micro(task, entry, answers))


def _micro(task: TurnsTask, entry: Any, answers: Answers) -> int:
    try:
        return score_micro(task.score(answers, entry))
    except Exception:  # noqa: BLE001  a scorer may raise anything on junk, which scores 0
        return 0


def solved(task: Task | TurnsTask, entry: Any) -> Solution | None:
    """Right answers to a question and the observations between them. None if the task provides none."""
    if turns_of(task) == 1:
        expected: Callable[[Any], str | None] | None = getattr(task, "expected", None)
        right = None if expected is None else expected(entry)
        return Solution((right,), ()) if isinstance(right, str) else None
    solution: Callable[[Any], Sequence[str]] | None = getattr(task, "solution", None)
    if solution is None:
        return None
    answers = tuple(solution(entry))
    played = play(cast(TurnsTask, task), entry, answers)
    return Solution(answers, played.observations) if played.micro == MICRO else None


def is_bare(task: TurnsTask, entry: Any, answers: Answers, played: Played, budget: Budget) -> bool:
    """Whether no answer could be spelled differently with the same outcome: see `swarmd.tasks.bare`."""
    known: Callable[[Answers, Any], bool | None] | None = getattr(task, "is_bare", None)
    verdict = None if known is None else known(answers, entry)
    if verdict is not None:
        return verdict

    def worth_with(place: int, rival: str) -> int:
        other = [*answers]
        other[place] = rival
        try:
            replayed = play(task, entry, other)
        except Exception:  # noqa: BLE001  a task may raise anything on text; this rival fails
            return -1
        return replayed.micro if replayed.observations == played.observations else -1

    return all(
        is_tight(answer, played.micro, lambda rival, place=place: worth_with(place, rival), budget)  # type: ignore[misc]
        for place, answer in enumerate(answers)
        if answer is not None
    )
