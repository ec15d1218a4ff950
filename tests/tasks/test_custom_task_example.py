"""The examples of custom tasks run as they stand, and an installed package's entry point is found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import TaskSpec
from swarmd.tasks import Question, TaskRunner, load_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"

MANIFEST = """
name = "words"
genesis = 2026-01-01T00:00:00Z
round_seconds = 30
reward = "exact"
max_new_tokens = 64
records_per_round_max = 8
[[tasks]]
source = "backwards"
dataset = "words"
[tasks.config]
length = 6
"""


def run(example: str) -> list[str]:
    """The lines that it prints."""
    environment = {"PYTHONPATH": ":".join([str(EXAMPLES.parent), *filter(None, sys.path)])}
    command = [sys.executable, str(EXAMPLES / example)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_example_asks_and_judges() -> None:
    question, right, wrong, silent = run("custom_task.py")
    assert question.startswith("Spell ")
    assert [line[0] for line in (right, wrong, silent)] == ["1", "0", "0"]


def test_the_example_with_turns_answers_a_guess_and_pays_for_the_right_one() -> None:
    question, guess, said, right, reward = run("custom_turns_task.py")
    assert question.startswith("Break my code")
    assert (guess, reward) == ("<answer>111</answer>", "reward 1")
    assert said == f"{right.count('1')} are right."
    assert len((EXAMPLES / "custom_turns_task.py").read_text().splitlines()) < 60


def test_the_example_with_an_image_shows_it_and_pays_for_the_right_number() -> None:
    assert run("custom_image_task.py") == ["How many dots are there?", "1 image", "1", "0"]
    assert len((EXAMPLES / "custom_image_task.py").read_text().splitlines()) < 60


async def test_an_entry_point_offers_the_source_to_worker_and_manifest_but_not_to_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Callable[..., TaskSpec]
) -> None:
    (tmp_path / "backwards_words.py").write_text((EXAMPLES / "custom_task.py").read_text())
    package = tmp_path / "backwards_words-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards-words\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[swarmd.tasks]\nbackwards = backwards_words:Backwards\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "words.toml").write_text(MANIFEST)
    [family] = load_manifest(str(tmp_path / "words.toml")).tasks
    assert (family.source, family.version) == ("backwards", "1")
    async with TaskRunner(reward="exact") as runner:
        [question] = await runner.questions([spec("words", source="backwards", length=6)])
    assert isinstance(question, Question)
    assert len(question.text.split()[1]) == 6
    assert "backwards_words" not in sys.modules
