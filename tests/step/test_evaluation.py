"""Greedy evaluation: what counts as right, and how sure one can be of a share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.step.evaluation import Stop, evaluate, wilson_interval
from swarmd.tasks import Question, Score, extract_answer

FAMILIES = tuple(
    TaskFamily(name=name, source="test", dataset=name, config="{}", version="1", weight=1)
    for name in ("double", "square")
)
MANIFEST = Manifest(
    name="test",
    genesis=0,
    round_seconds=15,
    reward="exact",
    max_new_tokens=8,
    records_per_round_max=4,
    tasks=FAMILIES,
)


def question(name: str, number: int) -> Question:
    spec = TaskSpec(source="test", dataset=name, config="{}", version="1", seed=number, index=0)
    return Question(spec, f"{name} {number}")


def solve(spec: TaskSpec) -> str:
    return str(spec.seed * 2 if spec.dataset == "double" else spec.seed**2)


def score(spec: TaskSpec, text: str) -> Score:
    return Score(float(extract_answer(text) == solve(spec)))


class ExactScorer:
    async def score(self, items: Sequence[tuple[TaskSpec, Sequence[str]]]) -> list[list[Score]]:
        return [
            [Score(float(extract_answer(text) == solve(spec))) for text in texts] for spec, texts in items
        ]


@dataclass(frozen=True)
class Said:
    text: str


class Doubler:
    """Doubles whatever it is asked; knows nothing of squares. Prompts are the characters of the question."""

    longest = 100

    def fits(self, text: str, *_: object) -> bool:
        return len(text) <= self.longest

    def render(self, text: str, *_: object) -> list[int]:
        return [ord(c) for c in text]

    def greedy(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int | None = None,
        *,
        should_stop: Stop | None = None,
    ) -> list[Said]:
        assert max_new_tokens == MANIFEST.max_new_tokens
        numbers = (int("".join(map(chr, prompt)).split()[1]) for prompt in prompts)
        return [Said(f"<answer>{number * 2}</answer>") for number in numbers]


async def test_success_is_counted_by_task_and_over_all() -> None:
    questions = [question(name, number) for name in ("double", "square") for number in range(1, 11)]
    result = await evaluate(Doubler(), ExactScorer(), questions, manifest=MANIFEST)
    assert result.tasks["double"].success == 1.0
    assert result.tasks["square"].success == 0.1  # 2 * 2 = 2 ** 2
    assert (result.total.success, result.total.questions) == (0.55, 20)
    assert result.total.interval == wilson_interval(11, 20)
    assert result.total.constant is None


async def test_the_constant_baseline_is_the_best_single_answer_to_each_task() -> None:
    questions = [question("double", number) for number in (1, 2, 2, 2, 3, 50)] + [question("square", 7)]
    result = await evaluate(Doubler(), ExactScorer(), questions, manifest=MANIFEST, with_constant=True)
    assert result.tasks["double"].constant == 3 / 6
    assert result.tasks["square"].constant == 0.0  # 49 is neither small nor anything the policy said
    assert result.total.constant == 3 / 7


async def test_a_question_that_does_not_fit_is_wrong_and_does_not_shift_the_others() -> None:
    short = Doubler()
    short.longest = len("double 5")
    result = await evaluate(
        short, ExactScorer(), [question("double", 55), question("double", 5)], manifest=MANIFEST
    )
    assert result.total.success == 0.5


async def test_answers_that_could_not_be_scored_are_wrong_and_counted() -> None:
    class Overloaded:
        async def score(self, items: Sequence[tuple[TaskSpec, Sequence[str]]]) -> list[list[Score]]:
            return [[Score(0.0, "timeout") if spec.seed == 1 else Score(1.0)] for spec, _ in items]

    questions = [question("double", number) for number in (1, 2)]
    result = await evaluate(Doubler(), Overloaded(), questions, manifest=MANIFEST)
    assert (result.total.success, result.unscored) == (0.5, 1)


async def test_nothing_to_ask_and_foreign_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        await evaluate(Doubler(), ExactScorer(), [], manifest=MANIFEST)
    with pytest.raises(ValueError, match="no task triple"):
        await evaluate(Doubler(), ExactScorer(), [question("triple", 1)], manifest=MANIFEST)


@pytest.mark.parametrize(
    ("right", "questions", "low", "high"),
    [  # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3: the score interval
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_agrees_with_published_values(
    right: int, questions: int, low: float, high: float
) -> None:
    assert wilson_interval(right, questions) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_holds_the_share_and_stays_inside_0_and_1(counts: tuple[int, int]) -> None:
    right, questions = counts
    low, high = wilson_interval(right, questions)
    assert 0.0 <= low <= right / questions <= high <= 1.0
    assert low < high


@pytest.mark.parametrize(("right", "questions"), [(1, 0), (0, 0), (-1, 4), (5, 4)])
def test_counts_that_cannot_be_are_refused(right: int, questions: int) -> None:
    with pytest.raises(ValueError, match="questions"):
        wilson_interval(right, questions)
