"""Scores the answers to one question in a child of the worker. Pure.

A scorer has the task and the question's entry, and therefore knows what is right. It never runs a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from swarmd.tasks.answers import is_bounded, is_plain_literal
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.episodes import BadTurnsError, is_bare, is_over, play, reply_to, turns_of
from swarmd.tasks.nursery import CALLS_MAX
from swarmd.tasks.rewards import score_micro
from swarmd.tasks.source import Outputs, Program, Task, TurnsTask

# Numbers, dates, words: no bracket, quote, underscore or operator that evaluated text could use to call or
# hide anything. Most answers look like this, and all of them in a request can share one child: forking the
# warm worker takes 4 ms or more, scoring microseconds.
_PLAIN = re.compile(rb"[A-Za-z0-9 ,.:/+\n-]*")

_SHARED_BYTES_MAX = 512  # longer text takes longer, and losing a child affects all that share it

WORTHLESS = (0, False)

Answer = bytes | tuple[bytes | None, ...]
"""The answer of a completion, or a tuple with one per turn if it has several turns."""


class Scorer:
    """Scores answers to one question, if they are admitted, and decides whether they are bare."""

    def __init__(self, task: Task | TurnsTask, entry: Any, *, literals_only: bool) -> None:
        self._task: Any = task
        self.has_turns = turns_of(task) > 1
        self._entry = entry
        self._literals_only = literals_only
        self._form: Callable[[str, Any], bool] | None = getattr(task, "admits", None)
        self._bare: Callable[[str, Any], bool | None] | None = getattr(task, "is_bare", None)
        self._program: Callable[[str, Any], Program] | None = getattr(task, "program", None)
        self._budget = Budget()

    @property
    def knows_forms(self) -> bool:
        """Whether the task defines which answers it admits, so that its answers may share a child."""
        return self._form is not None

    @property
    def runs_programs(self) -> bool:
        """Whether the task's answers are programs."""
        return self._program is not None

    def must_run(self, raw: Sequence[Answer]) -> bool:
        """Whether any of these answers is a program that may be run. Otherwise `score` gives 0 for all of
        them."""
        return self.runs_programs and any(self.program(each) is not None for each in raw)

    def program(self, raw: Answer) -> Program | None:
        """The program to run for an answer. None if it is not admitted, or if nothing here can confine a
        program."""
        if isinstance(raw, tuple) or self._program is None or self._literals_only:
            return None
        answer = raw.decode()
        if not self.admits(answer):
            return None
        program = self._program(answer, self._entry)
        if len(program.calls) > CALLS_MAX:
            raise ValueError(f"the task calls a program {len(program.calls)} times, more than {CALLS_MAX}")
        return program

    def judge(self, program: str, outputs: Outputs) -> tuple[int, bool]:
        """Like `score`, for a program that gave `outputs`. Shorter forms are not tested, because each costs a
        run."""
        micro = score_micro(self._task.judge(outputs, self._entry))
        known = self._bare(program, self._entry) if micro > 0 and self._bare else None
        return micro, known is True

    def admits(self, answer: str) -> bool:
        if self._literals_only and not is_plain_literal(answer):
            return False
        return is_bounded(answer) if self._form is None else self._form(answer, self._entry)

    def score(self, raw: Answer) -> tuple[object, ...]:
        """(score in millionths, whether the answer is bare and scores more than 0). 0 if it is not admitted.

        For a task of several turns, the observations follow, and whether the task was over. Raises
        BadTurnsError for more turns than the task has.
        """
        if self.has_turns:
            return self._score_turns(raw if isinstance(raw, tuple) else (raw,))
        if isinstance(raw, tuple):  # a record of version 2, for a task with images
            if len(raw) > 1:
                raise BadTurnsError("its task has one turn")
            [only] = raw
            return WORTHLESS if only is None else self.score(only)
        answer = raw.decode()
        micro = self._micro(answer)
        return (micro, self._is_bare(answer, micro)) if micro > 0 else WORTHLESS

    def _score_turns(self, raw: tuple[bytes | None, ...]) -> tuple[object, ...]:
        answers = self._admitted(raw)
        played = play(self._task, self._entry, answers)
        bare = played.micro > 0 and is_bare(self._task, self._entry, answers, played, self._budget)
        return played.micro, bare, played.observations, is_over(self._task, self._entry, answers)

    def reply(self, raw: tuple[bytes | None, ...]) -> str | None:
        """The task's reply to the turns so far; None if the task is over."""
        if not self.has_turns:
            raise BadTurnsError("its task has one turn")
        return reply_to(self._task, self._entry, self._admitted(raw))

    def _admitted(self, raw: tuple[bytes | None, ...]) -> list[str | None]:
        """One answer per turn; None for an answer that the task does not admit, as if it were missing."""
        answers = [None if each is None else each.decode() for each in raw]
        return [answer if answer is not None and self.admits(answer) else None for answer in answers]

    def _is_bare(self, answer: str, micro: int) -> bool:
        known = self._bare(answer, self._entry) if self._bare else None
        return is_tight(answer, micro, self._micro_of_rival, self._budget) if known is None else known

    def _micro(self, answer: str) -> int:
        return score_micro(self._task.score(answer, self._entry)) if self.admits(answer) else 0

    def _micro_of_rival(self, answer: str) -> int:
        try:
            return self._micro(answer)
        except Exception:  # noqa: BLE001  a scorer may raise anything; the text then scores 0
            return 0


def may_share(answer: Answer) -> bool:
    """Whether `answer` may be scored in the same child as others."""
    if isinstance(answer, tuple):
        return all(may_share(each) for each in answer if each is not None)
    if len(answer) > _SHARED_BYTES_MAX:
        return False
    return _PLAIN.fullmatch(answer) is not None or is_plain_literal(answer.decode())
