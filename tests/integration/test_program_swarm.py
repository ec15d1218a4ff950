"""Two daemons whose answers are programs: each runs the other's in its own cells, and learns from them.

The embedded model has never seen a program. What it can write is a number, so this swarm asks the starter
swarm's sums and runs the answer as an expression: all that a program passes through, with a model of 1.4 M.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, has_exchanged, stop_all, wait_until

START_S = 600.0

SOURCE = """
from swarmd.tasks.gym import ReasoningGym
from swarmd.tasks.source import Program

SUMS = {
    "min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2, "operators": ["+", "-"],
    "allow_parentheses": False, "allow_negation": False,
}

class Task:
    def __init__(self):
        self.sums = ReasoningGym().build("basic_arithmetic", SUMS)

    def question(self, seed, index):
        text, entry = self.sums.question(seed, index)
        return text, self.sums.expected(entry)

    def program(self, answer, entry):
        return Program(f"value = {answer}", ("value",))

    def judge(self, outputs, entry):
        return float(outputs[0] == entry)

    def score(self, answer, entry):
        raise NotImplementedError

    def is_bare(self, answer, entry):
        return answer == entry

class Sums:
    version = "1"

    def datasets(self):
        return ["sums"]

    def build(self, dataset, config):
        return Task()
"""

SWARM = """
name = "sums by program"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "exact"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
source = "sums"
dataset = "sums"
"""


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_daemons_run_one_anothers_programs_and_use_their_groups(
    join: Callable[..., DaemonProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sums-1.dist-info"
    package.mkdir()
    (tmp_path / "program_sums.py").write_text(SOURCE)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: sums\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[swarmd.tasks]\nsums = program_sums:Sums\n")
    (tmp_path / "sums.toml").write_text(SWARM)
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *inherited]))
    swarm = ("--swarm", str(tmp_path / "sums.toml"))
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)
    for status in wait_until([first, second], has_exchanged, 600):
        assert status.swarm == "sums by program"
        assert not {"question", "signature", "task", "version", "scorer"} & status.groups.rejected.keys()
    stop_all([first, second])
    assert_no_exception([first, second])
