"""What a person who plays sees: questions, verdicts, and what became of the answers. And who gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

from swarmd.observe.credit import CreditedPeer
from swarmd.observe.learning import AS_READ


class _View(BaseModel):
    model_config = AS_READ


class TriesView(_View):
    """How often somebody was right."""

    right: int
    tries: int


class QuestionView(_View):
    """A question for a person. Its text may come from any task source."""

    question: str
    """Hex of its digest: its name in what follows."""
    task: str
    text: str
    turns: int
    """How many turns an attempt may have."""
    attempts_max: int
    own: TriesView
    """Of this peer's own policy."""
    others: TriesView
    """Of other peers' policies, as scored here."""


class VerdictView(_View):
    """What one attempt was worth."""

    said: str | None = None
    """What the task says to the turn. The attempt then goes on, and the rest is null."""
    reward: float | None = None
    """0..1. Null with `plain` set: the judges of this task have no opinion of it yet."""
    right: bool | None = None
    plain: bool | None = None
    """Whether it holds nothing but the answer as the task writes it: others train on no other answer."""


class SentView(_View):
    """What becomes of the attempts at one question."""

    state: str
    """published, waiting (for the next round) or kept (no attempt is right)."""
    message: str
    """The same in a sentence."""
    digest: str | None = None
    """Hex; of the record, once it is published."""


class AnswerView(_View):
    """An earlier answer, and what became of it."""

    question: str
    at: float
    """Unix time in seconds."""
    task: str
    gist: str
    """The end of the question: those of a task begin alike."""
    attempts: int
    right: int
    """How many of the attempts are right."""
    state: str
    """waiting, published, kept or lost."""
    digest: str | None
    pulled_by: int
    """Peers that pulled it from here. Known: the connection proves who pulled."""


class AnswersView(_View):
    """A person's answers at this home."""

    answers: tuple[AnswerView, ...]
    """The newest first."""
    taught_claimed: int = 0
    """Parties that say that these answers taught them."""
    claimed: tuple[CreditedPeer, ...] = ()
    """What each peer says that the answers did there."""


class Play(Protocol):
    """A daemon's side of `swarmd play`. What a person cannot do raises ConfigError with the reason; a task
    worker that cannot run raises TaskError."""

    async def ask(self, without: Sequence[str]) -> QuestionView:
        """A question that peers fail. `without`: hex digests of those that the person does not want."""
        ...

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        """What the task says to an attempt so far, or what the attempt is worth. Nothing is kept."""
        ...

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        """The attempts are all, in their order: publish them as a group, if they can teach. `name` is the
        person's in the record."""
        ...

    def answers(self) -> AnswersView:
        """What became of the answers so far."""
        ...
