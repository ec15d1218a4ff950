"""pass@k against its definition, and how samples are counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.step import pass_at_k as module
from swarmd.step.evaluation import wilson_interval
from swarmd.step.pass_at_k import chance_of_any, pass_at_k
from tests.step.test_evaluation import MANIFEST, ExactScorer, Said, question

SAMPLES = 4


class Guesser:
    """Of each question's samples, as many double the number as the number says; the others say nothing."""

    longest = 100

    def __init__(self) -> None:
        self.asked: list[int] = []

    def fits(self, text: str, *_: object) -> bool:
        return len(text) <= self.longest

    def render(self, text: str, *_: object) -> list[int]:
        return [ord(c) for c in text]

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        group_size: int,
        max_new_tokens: int | None = None,
        *,
        rng: torch.Generator,
        should_stop: object = None,
    ) -> list[list[Said]]:
        assert max_new_tokens == MANIFEST.max_new_tokens
        self.asked.append(len(prompts))
        numbers = [int("".join(map(chr, prompt)).split()[1]) for prompt in prompts]
        return [
            [Said(f"<answer>{2 * n}</answer>" if i < n else "") for i in range(group_size)] for n in numbers
        ]


async def scored(policy: Guesser, *questions: tuple[str, int]) -> module.PassAtK:
    return await pass_at_k(
        policy,
        ExactScorer(),
        [question(name, number) for name, number in questions],
        manifest=MANIFEST,
        samples=SAMPLES,
        rng=torch.Generator(),
    )


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_the_estimate_is_the_share_of_all_choices_of_k_that_hold_a_right_one(
    counts: tuple[int, int, int],
) -> None:
    samples, right, k = counts
    chosen = list(combinations(range(samples), k))
    holding = sum(min(choice) < right for choice in chosen)
    assert chance_of_any(right, samples, k) == pytest.approx(holding / len(chosen))


async def test_it_is_averaged_by_task_and_over_all_for_k_1_2_4() -> None:
    found = await scored(Guesser(), ("double", 0), ("double", 1), ("double", 2), ("square", 2), ("square", 3))
    assert set(found.tasks) == {"double", "square"}
    double = {k: chance.success for k, chance in found.tasks["double"].items()}
    assert double == pytest.approx({1: 3 / 12, 2: (0 + 1 / 2 + 5 / 6) / 3, 4: 2 / 3})
    assert found.tasks["square"][4].success == 1 / 2, "2 * 2 = 2 ** 2, and 2 * 3 is not 3 ** 2"
    assert found.total[1].success == pytest.approx((0 + 1 + 2 + 2 + 0) / 20)


async def test_the_interval_is_that_of_one_trial_a_question() -> None:
    found = await scored(Guesser(), ("double", 0), ("double", 2), ("double", 4))
    assert found.total[1].interval == wilson_interval(1.5, 3)
    never = await scored(Guesser(), ("double", 0))
    assert never.total[4].interval[1] > 0.5, (
        "four wrong answers to one question say little of other questions"
    )


async def test_a_question_that_does_not_fit_is_never_right_and_does_not_shift_the_others() -> None:
    short = Guesser()
    short.longest = len("double 4")
    found = await scored(short, ("double", 44), ("double", 4))
    assert found.total[1].success == 0.5


async def test_many_samples_are_asked_for_in_bounded_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLED_AT_ONCE", 2 * SAMPLES + 1)
    policy = Guesser()
    found = await scored(policy, *(("double", number) for number in (1, 2, 3, 4, 4)))
    assert policy.asked == [2, 2, 1]
    assert found.total[1].success == pytest.approx(14 / 20)


@pytest.mark.parametrize("samples", [0, module.SAMPLES_MAX + 1])
async def test_a_number_of_samples_out_of_bounds_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples"):
        await pass_at_k(
            Guesser(),
            ExactScorer(),
            [question("double", 1)],
            manifest=MANIFEST,
            samples=samples,
            rng=torch.Generator(),
        )


@pytest.mark.parametrize("counts", [(3, 2, 1), (-1, 2, 1), (1, 2, 0), (1, 2, 3)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="samples"):
        chance_of_any(*counts)
