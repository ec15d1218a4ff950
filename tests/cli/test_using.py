"""The commands of "Use what it learned" in docs/operating.md do what is shown there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from swarmd.config import PolicyConfig
from swarmd.hardware.plan import HardwarePlan
from swarmd.policy import load_policy
from swarmd.storage import Checkpoints, Home
from swarmd.tasks import load_manifest

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
STEP = 97


def shown() -> list[tuple[str, str]]:
    """Each command, and the output shown under it."""
    found = re.search(r"<!-- use -->\n```console\n(.*?)```", OPERATING.read_text(), re.DOTALL)
    assert found is not None
    parts = re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The default home, in which the embedded model was trained; its weights stand in for trained ones."""
    home = Home.open(tmp_path / ".swarmd")
    home.write_manifest(load_manifest("starter").to_bytes())
    plan = HardwarePlan("embedded", "cpu", "float32", 1, None, ())
    policy = load_policy(PolicyConfig(), plan, max_new_tokens=8)
    Checkpoints(home.checkpoints_path, keep=2).save(
        STEP, tensors=policy.trainable_state(), optimizer={}, state={"policy": {"model": "embedded"}}
    )
    return home


def without_answers(lines: str) -> list[str]:
    """What is the same for all weights: neither answers, nor scores, nor paths."""
    kept = (re.sub(r": (right|wrong) .*| ?\(?/\S*", "", line) for line in lines.splitlines())
    return [line for line in kept if "<answer>" not in line]


def test_the_commands_shown_give_the_lines_shown(swarmd, home, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command, output in shown():
        outcome = swarmd(*shlex.split(command)[1:])
        assert outcome.code == 0, outcome.err
        assert without_answers(outcome.err + outcome.out) == without_answers(output), command
    AutoModelForCausalLM.from_pretrained(tmp_path / "mine")
