"""swarmd eval says what it does from its first second on, and only to a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from swarmd.cli.exam_progress import ExamProgress, ToldPolicy, ToldScorer


def drawn(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_sees_what_is_done_before_anything_is_loaded() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with ExamProgress(console):
        pass
    assert "loading libraries" in drawn(console)


def test_what_is_not_a_terminal_gets_nothing() -> None:
    console = Console(file=io.StringIO(), width=80)
    with ExamProgress(console) as told:
        told.phase("scoring")
    assert drawn(console) == ""


async def test_answers_and_scores_are_the_same_and_are_counted() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)

    def greedy(prompts, limit, *, progress, should_stop):
        progress(5)
        progress(1_230)
        return [*prompts, limit, should_stop]

    async def score(items):
        return [len(texts) for _, texts in items]

    with ExamProgress(console) as told:
        policy = ToldPolicy(SimpleNamespace(greedy=greedy), told)  # type: ignore[arg-type]
        assert policy.greedy(["a", "b"], 7, should_stop=None) == ["a", "b", 7, None]
        told._progress.refresh()
        assert "answering 2 questions: 1,235 tokens" in drawn(console)
        scorer = ToldScorer(SimpleNamespace(score=score), told)  # type: ignore[arg-type]
        assert await scorer.score([("q", ["x", "y"])]) == [2]
        told._progress.refresh()
    assert "scoring 2 answers" in drawn(console)
