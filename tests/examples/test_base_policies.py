"""Base policies for experiments: the command that makes them runs, and their targets are what it says."""

from __future__ import annotations

import random
import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from reasoning_gym.utils import extract_answer
from transformers import AutoModelForCausalLM

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.experiment import read_experiment
from swarmd.tasks import load_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = EXAMPLES / "make_base_policies.py"


@pytest.fixture(autouse=True)
def as_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture(autouse=True)
def threads() -> None:
    """The command sets how many PyTorch uses; afterwards it is as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(COMMAND), *arguments, "--quick"])
    runpy.run_path(str(COMMAND), run_name="__main__")


def differs_from_the_embedded(path: Path) -> bool:
    made, embedded = (AutoModelForCausalLM.from_pretrained(p) for p in (path, EMBEDDED_MODEL_DIR))
    assert all(weight.isfinite().all() for weight in made.parameters())
    return any(not a.equal(b) for a, b in zip(made.parameters(), embedded.parameters(), strict=True))


def test_a_sparse_policy_is_made_from_the_embedded_model(tmp_path, monkeypatch, capsys) -> None:
    make(monkeypatch, "sparse", "--out", str(tmp_path))
    assert differs_from_the_embedded(tmp_path)
    printed = capsys.readouterr().out
    assert all(column in printed for column in ("greedy", "pass@1", "format", "constant"))


def test_there_is_a_specialist_for_every_task(tmp_path, monkeypatch, capsys) -> None:
    make(monkeypatch, "specialists", "--out", str(tmp_path))
    assert all(differs_from_the_embedded(tmp_path / str(node)) for node in range(4))
    rows = [line for line in capsys.readouterr().out.splitlines() if line.count("*") == 1 and "." in line]
    assert len(rows) == 7  # every task is the speciality of one


def test_specialists_are_asked_the_starter_tasks_that_can_be_learned() -> None:
    starter, asked = (load_manifest(name) for name in ("starter", str(EXAMPLES / "specialist_tasks.toml")))
    assert asked.tasks == tuple(task for task in starter.tasks if task.name != "count_bits")
    made = runpy.run_path(str(COMMAND))["SPECIALITIES"]
    assert sorted(task.name for task in asked.tasks) == sorted(name for own in made for name in own)


@pytest.mark.parametrize(("file", "folder"), [("", "specialists"), ("_short", "short")])
def test_the_experiments_on_specialists_name_what_the_command_makes(file, folder) -> None:
    made = runpy.run_path(str(COMMAND))["SPECIALITIES"]
    config, _ = read_experiment(EXAMPLES / f"sapo_specialists{file}.toml")
    assert config.specialities == made
    assert config.models == tuple(str(EXAMPLES / "models" / folder / str(n)) for n in range(len(made)))


def test_a_sparse_reply_is_right_wrong_or_malformed_as_often_as_asked() -> None:
    sparse = runpy.run_path(str(COMMAND))["sparse"]
    rng = random.Random(0)
    answers = Counter(extract_answer(sparse("12", rng, 0.5, 0.5)) for _ in range(4000))
    assert answers["12"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert answers["22"] / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_generalist_is_trained_on_all_tasks_of_the_specialists(tmp_path, monkeypatch, capsys) -> None:
    make(monkeypatch, "generalist", "--out", str(tmp_path))
    assert differs_from_the_embedded(tmp_path)
    rows = [line for line in capsys.readouterr().out.splitlines() if "greedy" in line and "pass@1" in line]
    assert len(rows) == 7


def test_a_specialist_is_taught_by_the_right_answers_of_the_others(tmp_path, monkeypatch, capsys) -> None:
    for node in range(4):
        shutil.copytree(EMBEDDED_MODEL_DIR, tmp_path / str(node))
    monkeypatch.setattr(sys, "argv", ["right_answers.py", "--models", str(tmp_path), "--quick"])
    runpy.run_path(str(EXAMPLES / "right_answers.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    for name in ("all", "in eight", "in one", "only 400"):
        rows = [line for line in printed if line.startswith(name)]
        assert sum("different questions" in row for row in rows) == 7  # every task has a specialist
        assert sum(" gcd 0." in row or " gcd 1." in row for row in rows) == 1
