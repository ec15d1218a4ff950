"""Judges the answers to one question in a child of the worker. Pure.

It knows the task and the question's entry, and so what is right. It never runs a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from swarmd.tasks.answers import is_bounded, is_plain_literal
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.episodes import BadTurnsError, is_bare, play, reply_to, turns_of
from swarmd.tasks.nursery import CALLS_MAX
from swarmd.tasks.rewards import score_micro
from swarmd.tasks.source import Outputs, Program, Task, TurnsTask

# Numbers, dates, words: no bracket, quote, underscore or operator that evaluated text could call or hide
# anything with. Most answers are like that, and all of a request can share one child: a fork of the warm
# worker takes 4 ms or more, a score microseconds.
_PLAIN = re.compile(rb"[A-Za-z0-9 ,.:/+\n-]*")

_SHARED_BYTES_MAX = 512  # longer text takes a scorer longer, and a child that is lost costs all that share it

WORTHLESS = (0, False)

Answer = bytes | tuple[bytes | None, ...]
"""What a completion answered; a tuple, one for each turn, if it is one of turns."""


class Scorer:
    """Scores answers to one question, if they are admitted, and says whether they are bare."""

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
        """Whether the task says what it admits, so that its answers may share a child."""
        return self._form is not None

    @property
    def runs_programs(self) -> bool:
        """Whether the task's answers are programs."""
        return self._program is not None

    def must_run(self, raw: Sequence[Answer]) -> bool:
        """Whether any of these answers is a program that may be run. If not, `score` gives 0 for each."""
        return self.runs_programs and any(self.program(each) is not None for each in raw)

    def program(self, raw: Answer) -> Program | None:
        """What to run for an answer; None if it is not admitted, or if nothing holds a program back here."""
        if isinstance(raw, tuple) or self._program is None or self._literals_only:
            return None
        answer = raw.decode()
        if not self.admits(answer):
            return None
        program = self._program(answer, self._entry)
        if len(program.calls) > CALLS_MAX:
            raise ValueError(f"the task makes {len(program.calls)} calls of a program, {CALLS_MAX} at most")
        return program

    def judge(self, program: str, outputs: Outputs) -> tuple[int, bool]:
        """As `score`, of a program that gave `outputs`. Its shorter forms are not tried: each costs a run."""
        micro = score_micro(self._task.judge(outputs, self._entry))
        known = self._bare(program, self._entry) if micro > 0 and self._bare else None
        return micro, known is True

    def admits(self, answer: str) -> bool:
        if self._literals_only and not is_plain_literal(answer):
            return False
        return is_bounded(answer) if self._form is None else self._form(answer, self._entry)

    def score(self, raw: Answer) -> tuple[object, ...]:
        """The score in millionths, 0 if not admitted; and whether the answer is bare and worth anything.

        Of a completion of turns also its observations. Raises BadTurnsError for turns that the task has not.
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
        return played.micro, bare, played.observations

    def reply(self, raw: tuple[bytes | None, ...]) -> str | None:
        """What the task says to the turns so far; None if it is over."""
        if not self.has_turns:
            raise BadTurnsError("its task has one turn")
        return reply_to(self._task, self._entry, self._admitted(raw))

    def _admitted(self, raw: tuple[bytes | None, ...]) -> list[str | None]:
        """One per turn; None for an answer that the task does not admit, as if there were none."""
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
        except Exception:  # noqa: BLE001  a scorer may raise anything: as everywhere, the text is worth nothing
            return 0


def may_share(answer: Answer) -> bool:
    """Whether `answer` may be scored in one child with others."""
    if isinstance(answer, tuple):
        return all(may_share(each) for each in answer if each is not None)
    if len(answer) > _SHARED_BYTES_MAX:
        return False
    return _PLAIN.fullmatch(answer) is not None or is_plain_literal(answer.decode())
