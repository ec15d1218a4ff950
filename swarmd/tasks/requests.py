"""Builds the requests to the worker, and parses the outcomes. Pure.

A worker runs strangers' answers and the sources' code, so its output is not trusted: an outcome of unexpected
form counts as an error of its task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from protocol import TaskSpec
from swarmd.images import Image, why_no_images
from swarmd.tasks.episodes import OBSERVATION_BYTES_MAX, Solution
from swarmd.tasks.outcomes import Question, TaskFailure
from swarmd.tasks.prompt import extract_answer

Written = str | Sequence[str]
"""What a policy wrote: one text, or one per turn."""
Answer = bytes | tuple[bytes | None, ...]

GROUPS_PER_REQUEST = 16  # as many as in a step; they share the time limit for generating and scoring one
ANSWER_BYTES_PER_REQUEST = 2**20  # the size of the largest possible group; a frame holds eight times that
DETAIL_CHARS_MAX = 300  # of an error message from a source


@dataclass(frozen=True)
class AnswersTo:
    """The completions of one question, in the form in which they are sent to the worker."""

    spec: tuple[object, ...]
    answers: tuple[Answer | None, ...]
    """One per completion, None if it has no answer. For a completion of several turns, a tuple of answers."""
    distinct: tuple[Answer, ...]

    @classmethod
    def of(cls, spec: TaskSpec, completions: Sequence[Written]) -> AnswersTo:
        answers = tuple(map(_answers_of, completions))
        return cls(raw(spec), answers, tuple(dict.fromkeys(each for each in answers if each is not None)))

    @property
    def bytes(self) -> int:
        """Bytes that a request for this group contains, and the most that its reply contains."""
        return sum(map(_bytes_of, self.distinct))


def batches(groups: Sequence[AnswersTo]) -> Iterator[list[AnswersTo]]:
    """Split the groups, in order, into batches as large as a request may be, at least one group each."""
    batch: list[AnswersTo] = []
    held = 0
    for group in groups:
        size = group.bytes
        if batch and (len(batch) == GROUPS_PER_REQUEST or held + size > ANSWER_BYTES_PER_REQUEST):
            yield batch
            batch, held = [], 0
        batch.append(group)
        held += size
    if batch:
        yield batch


def fits(row: object, group: AnswersTo) -> bool:
    """Whether `row` has an outcome for each answer. Checked because the child has run the source's code."""
    return isinstance(row, tuple) and len(row) == len(group.distinct)


def encoded(text: str) -> bytes | None:
    answer = extract_answer(text)
    return None if answer is None else answer.encode(errors="replace")


def _answers_of(written: Written) -> Answer | None:
    return encoded(written) if isinstance(written, str) else tuple(map(encoded, written))


def _bytes_of(answer: Answer) -> int:
    if isinstance(answer, bytes):
        return len(answer)
    return sum(len(each or b"") + OBSERVATION_BYTES_MAX for each in answer)


def reply_of(spec: TaskSpec, outcome: Any) -> str | TaskFailure | None:
    match outcome:
        case (True, str() | None as said):
            return said
        case (False, str(kind), str(detail), _):
            return TaskFailure(spec, kind, _printable(detail))
        case _:
            return TaskFailure(spec, "error", "the task's reply is not text")


def solution_of(outcome: Any) -> Solution | None:
    """The solution in `outcome`. None if the task gives no solution, failed, or returned something
    invalid."""
    match outcome:
        case (True, (tuple(answers), tuple(observations))) if answers and all(
            isinstance(text, str) for text in (*answers, *observations)
        ):
            return Solution(answers, observations) if len(answers) == len(observations) + 1 else None
    return None


def raw(spec: TaskSpec) -> tuple[object, ...]:
    return spec.source, spec.dataset, spec.config, spec.version, spec.seed, spec.index


def question_of(spec: TaskSpec, outcome: Any) -> Question | TaskFailure:
    match outcome:
        case (True, (str(text), int(turns), str(hidden), tuple(drawn))):
            images = tuple(Image(*each) for each in drawn if _is_image(each))
            why = "its images are malformed" if len(images) < len(drawn) else why_no_images(images)
            if why is not None:
                return TaskFailure(spec, "image", why)
            return Question(spec, text, turns, hidden, images)
        case (False, str(kind), str(detail), option):
            return TaskFailure(spec, kind, _printable(detail), option if isinstance(option, str) else None)
        case _:
            return TaskFailure(spec, "error", "the source's question is not text")


def _is_image(drawn: Any) -> bool:
    match drawn:
        case (int(), int(), bytes()):
            return True
    return False


def _printable(text: str) -> str:
    """A source's text on one line and without control characters, for logs and terminals."""
    return "".join(c if c.isprintable() else " " for c in text[:DETAIL_CHARS_MAX])
