"""How likely a policy finds right answers to held-out questions: with all that a question shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from protocol import TaskSpec
from swarmd.config import PolicyConfig
from swarmd.hardware.plan import HardwarePlan
from swarmd.images import Image
from swarmd.logprobs import TokenRow
from swarmd.policy import Policy, load_policy
from swarmd.step.gold import Gold, draw_gold, likelihood
from swarmd.tasks import Question, TaskFailure
from tests.daemon.fakes import KnownTasks
from tests.gossip.making import make_manifest
from tests.tiny_sight import SIDE, write_tiny_sight

TASK = bytes(16)
DARK, BRIGHT = (Image(SIDE, SIDE, bytes([shade]) * SIDE * SIDE * 3) for shade in (0, 255))


class Pictured(KnownTasks):
    """Every question shows a picture, and its answer is known."""

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        made = await super().questions(specs)
        return [replace(each, images=(BRIGHT,)) if isinstance(each, Question) else each for each in made]

    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
        return ["white" for _ in specs]


@pytest.fixture
def seeing(tmp_path: Path) -> Policy:
    plan = HardwarePlan(str(write_tiny_sight(tmp_path)), "cpu", "float32", 1, None, ())
    return load_policy(PolicyConfig(model=plan.model), plan, max_new_tokens=8)


async def test_held_out_questions_keep_their_pictures() -> None:
    manifest = make_manifest()
    gold = await draw_gold(Pictured(), manifest, 0)
    assert gold.keys() == {task.task_id for task in manifest.tasks}
    assert all(each.images == (BRIGHT,) for some in gold.values() for each in some)


def test_a_right_answer_is_measured_with_the_pictures_of_its_question(seeing: Policy) -> None:
    found = {
        image: likelihood(seeing, {TASK: [Gold("What?", "white", (image,))]}, [TASK])[TASK]
        for image in (DARK, BRIGHT)
    }
    for image, measured in found.items():
        prompt = seeing.render("What?", images=(image,))
        row = TokenRow(prompt, seeing.encode_completion("white", True, len(prompt)))
        logprobs, mask = seeing.logprobs([row], temperature=1.0)
        assert measured == pytest.approx(float(logprobs[mask].sum().detach()), abs=1e-4)
    assert found[DARK] != pytest.approx(found[BRIGHT], abs=1e-4)
