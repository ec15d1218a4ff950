"""Turns what a person typed into a group. Pure: scores nothing, signs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from protocol import PERSON_TOKENIZER, Manifest, person_model
from swarmd.errors import ConfigError
from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.step.evaluation import RIGHT_FROM
from swarmd.tasks import CLOSING_TAG, OPENING_TAG, Question, Score, find_answer

TURN_BYTES_MAX = 4_096
"""UTF-8 bytes of one turn by a person. The longest right answers of our tasks, programs, have a few hundred.
With this limit, a group of eight attempts fits into a record."""

GROUP_BYTES_MAX = 49_152
"""UTF-8 bytes of all attempts at a question: three quarters of a record; the rest is for its other fields."""

BLANK = ""
"""An attempt that the person did not make. It earns nothing, which gives a right answer an advantage over
it."""

Attempt = tuple[str, ...]
"""The turns of one attempt, in the form in which a policy would have written them."""


def completion(typed: str) -> str:
    """`typed` as a policy would write it: between answer tags, unless the person typed them."""
    text = typed.strip()
    if not text or find_answer(text) is not None:
        return text
    return f"{OPENING_TAG}{text}{CLOSING_TAG}"


def read_attempt(question: Question, typed: Sequence[str]) -> Attempt:
    """Check one attempt. Raises ConfigError."""
    if not 1 <= len(typed) <= question.turns:
        raise ConfigError(f"an attempt at this question has 1 to {question.turns} turns, not {len(typed)}")
    for turn in typed:
        size = len(turn.encode(errors="replace"))
        if size > TURN_BYTES_MAX:
            raise ConfigError(f"an answer must have at most {TURN_BYTES_MAX} bytes; this one has {size}")
        if turn != turn.encode(errors="replace").decode():
            raise ConfigError("an answer must be valid text; this one contains a lone surrogate")
    return tuple(map(completion, typed))


def read_attempts(question: Question, typed: Sequence[Sequence[str]], attempts_max: int) -> list[Attempt]:
    """Check all attempts at a question. Raises ConfigError."""
    if not 1 <= len(typed) <= attempts_max:
        raise ConfigError(f"a question has 1 to {attempts_max} attempts, not {len(typed)}")
    attempts = [read_attempt(question, each) for each in typed]
    size = sum(len(turn.encode()) for attempt in attempts for turn in attempt)
    if size > GROUP_BYTES_MAX:
        raise ConfigError(
            f"the attempts have {size} bytes together, but a record has room for {GROUP_BYTES_MAX}: "
            "write shorter ones"
        )
    return attempts


def is_right(score: Score) -> bool:
    return score.reward >= RIGHT_FROM


def group_of(
    question: Question,
    attempts: Sequence[Attempt],
    scores: Sequence[Score],
    *,
    manifest: Manifest,
    publisher: str,
    name: str | None,
    round_: int,
    step: int,
) -> ScoredGroup:
    """The group of a person's attempts, with one score per attempt."""
    family = manifest.family(question.spec.task_id)
    if family is None:
        raise RuntimeError("a person was asked a question of a task that the manifest does not have")
    return ScoredGroup(
        publisher=publisher,
        task_id=family.task_id,
        task_name=family.name,
        question=question.text,
        completions=tuple(
            ScoredCompletion.from_turns(_turns(attempt, score), score.reward, bare=score.bare)
            for attempt, score in zip(attempts, scores, strict=True)
        ),
        round=round_,
        step=step,
        model=person_model(name),
        tokenizer=PERSON_TOKENIZER,
        digest=None,
        external=False,
    )


def _turns(attempt: Attempt, score: Score) -> tuple[Turn, ...]:
    """The turns of an attempt, with the task's reply to each turn except the last."""
    observations = [*score.observations, *[""] * len(attempt)][: len(attempt)]
    return tuple(
        Turn(text, finished=True, observation=said) for text, said in zip(attempt, observations, strict=True)
    )
