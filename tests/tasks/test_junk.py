"""The presets pay nothing for junk; what pays is found, with the answer it pays for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.tasks import (
    PRESETS,
    Question,
    Score,
    TaskRunner,
    extract_answer,
    find_payers,
    is_preset,
    load_manifest,
)

Reward = Callable[[TaskSpec, str], float]


class KnownRunner:
    """Asks as many questions as it likes and pays what a function says."""

    def __init__(self, pays: Reward, different: int = 10**9) -> None:
        self._pays = pays
        self._different = different

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question]:
        return [Question(spec, f"What is {spec.seed % self._different}?") for spec in specs]

    async def score_ours(self, items: Sequence[tuple[TaskSpec, Sequence[str]]]) -> list[list[Score]]:
        return [
            [Score(self._pays(spec, extract_answer(text) or "")) for text in texts] for spec, texts in items
        ]


def manifest(reward: str, *datasets: str) -> Manifest:
    families = [
        TaskFamily(name=name, source="reasoning_gym", dataset=name, config="{}", version="0.1.25", weight=1)
        for name in datasets or ("known",)
    ]
    return Manifest(
        name="m", genesis=0, round_seconds=10, reward=reward, max_new_tokens=8, records_per_round_max=8,
        tasks=tuple(families),
    )  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
async def test_no_preset_pays_for_junk(preset: str) -> None:
    swarm = load_manifest(preset)
    assert is_preset(swarm)
    async with TaskRunner(reward=swarm.reward) as runner:
        assert await find_payers(runner, swarm) == []


async def test_datasets_that_pay_for_junk_are_found_and_an_honest_one_is_not() -> None:
    swarm = manifest("exact", "coin_flip", "game_of_life_halting", "gcd")
    assert not is_preset(swarm)
    async with TaskRunner(reward="exact") as runner:
        found = await find_payers(runner, swarm)
    assert [payer.task for payer in found] == ["coin_flip", "game_of_life_halting"]
    assert found[0].answer == "0"
    assert "'0' earns" in str(found[0])
    assert found[1].reward == 1.0


async def test_the_answer_that_pays_best_is_reported() -> None:
    runner = KnownRunner(lambda _, answer: {"nan": 0.6, "banana": 0.9}.get(answer, 0.0))
    [payer] = await find_payers(runner, manifest("partial"))
    assert (payer.answer, payer.paid, payer.questions) == ("banana", 12, 12)
    assert payer.reward == pytest.approx(0.9)


async def test_a_text_that_is_right_now_and_then_is_not_junk() -> None:
    runner = KnownRunner(lambda spec, answer: float(answer == str(spec.seed % 2)))
    assert await find_payers(runner, manifest("exact")) == []


async def test_the_question_itself_is_tried() -> None:
    runner = KnownRunner(lambda _, answer: float(answer.startswith("What is")))
    [payer] = await find_payers(runner, manifest("exact"))
    assert payer.answer == "the question itself"


async def test_what_scorers_give_for_an_attempt_is_no_payment_and_few_questions_are_no_proof() -> None:
    assert await find_payers(KnownRunner(lambda *_: 0.1), manifest("partial")) == []
    assert await find_payers(KnownRunner(lambda *_: 1.0, different=3), manifest("exact")) == []
