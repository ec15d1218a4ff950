"""The swarms with judges in examples/ can be read; the figures put what judges paid beside what is true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from swarmd.judges.panel import rules_by_task
from swarmd.tasks.manifest import read_swarm_file

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "kind", "tasks"),
    [
        ("judged_tasks", "agreement", 8),
        ("judged_together_tasks", "agreement", 8),
        ("judged_reward_tasks", "reward_model", 4),
        ("judged_generative_tasks", "generative", 4),
        ("judged_guessing_tasks", "reward_model", 2),
    ],
)
def test_every_task_of_the_examples_has_one_judge_and_no_verifier(name, kind, tasks):
    manifest = read_swarm_file(str(EXAMPLES / f"{name}.toml"))[0].manifest
    rules = rules_by_task(manifest)
    assert len(rules) == len(manifest.tasks) == tasks
    assert {rule.kind for judges in rules.values() for rule in judges} == {kind}


def test_the_figures_put_the_truth_beside_the_reward(tmp_path):
    run = tmp_path / "runs" / "made-up"
    run.mkdir(parents=True)
    lines = [
        {"kind": "node", "round": at, "reward_own": 0.1 * at, "truth_own": 0.5, "own_by_task": {"gcd": own}}
        for at, own in ((0, {"reward": 0.25}), (19, {"reward": 0.75}))
    ]
    lines += [
        {
            "kind": "held_out",
            "round": at,
            "success": s,
            "judged": None,
            "tasks": {"gcd": {"success": s + 0.1}},
        }
        for at, s in ((0, 0.3), (20, 0.2))
    ]
    (run / "rounds.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = subprocess.run(
        [sys.executable, EXAMPLES / "judged_figures.py", tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1].split() == (
        ["made-up", "20", "0.000", "1.900", "0.500", "0.500", "0.300", "0.200", "-", "-"]
    )
    assert done.stdout.splitlines()[2].split() == ["gcd", "0.250", "0.750", "0.400", "0.300"]


def test_a_run_that_has_not_begun_is_named_without_figures(tmp_path):
    run = tmp_path / "runs" / "made-up"
    run.mkdir(parents=True)
    (run / "rounds.jsonl").write_text('{"kind": "run"}\n')
    done = subprocess.run(
        [sys.executable, EXAMPLES / "judged_figures.py", tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1].split() == ["made-up", "0", "not", "started"]
