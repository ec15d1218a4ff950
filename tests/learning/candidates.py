"""Candidates to draw from."""

from __future__ import annotations

from dataclasses import replace

from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.learning import DrawContext

TASK = bytes(16)
NOW = DrawContext(round=100, round_seconds=30.0)


def group(
    publisher: str,
    *rewards: float,
    question: str | None = None,
    round_: int = 100,
    task_id: bytes = TASK,
    number: int = 0,
) -> ScoredGroup:
    """A group of a stranger; every publisher and number asks another question unless one is given."""
    return ScoredGroup(
        publisher=publisher,
        task_id=task_id,
        task_name="t",
        question=f"{publisher}/{number}" if question is None else question,
        completions=tuple(ScoredCompletion(text="x", reward=r, finished=True) for r in rewards),
        round=round_,
        step=0,
        model="m",
        tokenizer=bytes(8),
        digest=None,
        external=True,
    )


def taught(
    number: int = 0,
    *,
    rewards: tuple[float, ...] = (1.0, 0.0),
    bare: bool = True,
    text: str = "4",
    publisher: str = "p",
    task_id: bytes = TASK,
) -> ScoredGroup:
    """A group whose right answers have this text."""
    asked = group(publisher, *rewards, number=number, task_id=task_id)
    texts = [text if reward == 1 else "wrong" for reward in rewards]
    completions = tuple(
        ScoredCompletion(each, reward, True, bare=bare) for each, reward in zip(texts, rewards, strict=True)
    )
    return replace(asked, completions=completions)
