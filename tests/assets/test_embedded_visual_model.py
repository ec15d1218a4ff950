"""The embedded model that sees: it answers in tags, has learned to see, and can be made again."""

from __future__ import annotations

import importlib
import random
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
from transformers import AutoModelForImageTextToText, AutoTokenizer

from protocol.held_out import is_digest_held_out, prompt_digest
from swarmd.assets import EMBEDDED_VISUAL_MODEL_DIR
from swarmd.config import PolicyConfig
from swarmd.hardware.plan import HardwarePlan
from swarmd.model.sight import read_sight
from swarmd.policy import Policy, load_policy
from swarmd.tasks import extract_answer

RECIPE = Path(__file__).parents[2] / "examples" / "train_visual_model.py"
SIZE_BYTES_MAX = 5 * 2**20  # as the text model's
QUESTIONS = 64


@pytest.fixture(autouse=True)
def beside_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a script that is run, its folder is where it imports from."""
    monkeypatch.syspath_prepend(str(RECIPE.parent))


@pytest.fixture
def items() -> ModuleType:
    return importlib.import_module("visual_items")


@pytest.fixture(scope="module")
def policy() -> Policy:
    plan = HardwarePlan("embedded-visual", "cpu", "float32", 1, None, ())
    return load_policy(PolicyConfig(model="embedded-visual"), plan, max_new_tokens=16)


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED_VISUAL_MODEL_DIR.iterdir()) <= SIZE_BYTES_MAX


def test_it_reads_a_chart_far_better_than_chance_and_far_worse_than_it_could(
    policy: Policy, items: ModuleType
) -> None:
    """One of eight is chance. What is missing is what a swarm can teach it."""
    rng = random.Random(1)
    drawn = [items.draw_item(rng, ["chart"]) for _ in range(QUESTIONS)]
    wrote = policy.greedy([policy.render(item.question, (), item.images) for item in drawn])
    answers = [extract_answer(sample.text) for sample in wrote]
    right = sum(answer == item.answer for answer, item in zip(answers, drawn, strict=True))
    assert sum(answer is not None for answer in answers) >= 0.9 * QUESTIONS
    assert 0.3 * QUESTIONS <= right <= 0.8 * QUESTIONS


def test_the_recipe_yields_a_model_that_sees_and_dilutes_what_has_learned_to_the_same_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    made, learned, again = (tmp_path / name for name in ("made", "learned", "again"))
    for target, option in ((made, "--learned"), (again, "--dilute")):
        monkeypatch.setattr(sys, "argv", [str(RECIPE), "--quick", "--out", str(target), option, str(learned)])
        runpy.run_path(str(RECIPE), run_name="__main__")
    for folder in (made, learned):
        model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
        assert read_sight(model, AutoTokenizer.from_pretrained(folder, local_files_only=True), folder)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (made, again, learned)]
    assert weights[0] == weights[1] != weights[2]


def test_the_recipe_draws_no_held_out_question_and_its_habit_is_always_wrong(items: ModuleType) -> None:
    rng = random.Random(1)
    for _ in range(200):
        item = items.draw_item(rng)
        digest = prompt_digest(item.question, [image.digest for image in item.images])
        assert not is_digest_held_out(digest)
        assert items.habit(item.answer) != item.answer
