"""swarmd experiment with a real policy and a real sandbox."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_eval import MANIFEST

EXPERIMENT = """
name = "two peers"
swarm = "two.toml"
nodes = 2
rounds = 1
seeds = 1
held_out_questions = 2

[policy]
model = {model}
max_new_tokens = 4
threads = 1

[[configurations]]
local = 1
external = 1
"""


def write(folder: Path, model: Path) -> Path:
    (folder / "two.toml").write_text(MANIFEST)
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(model=json.dumps(str(model))))
    return path


def test_an_experiment_runs_and_is_reported(swarmd, tiny_model_dir, tmp_path) -> None:
    out = tmp_path / "results"
    ran = swarmd("experiment", "run", write(tmp_path, tiny_model_dir), "--out", out, "--seeds", 2)
    assert ran.code == 0, ran.err
    assert len(list((out / "runs").glob("*/rounds.jsonl"))) == 2
    reported = swarmd("experiment", "report", out, "--no-plots")
    assert reported.code == 0, reported.err
    assert str(out / "report.md") in reported.out
    assert "| 1/1 |" in (out / "report.md").read_text()


def test_a_file_that_is_wrong_is_refused_by_the_key_and_nothing_is_written(
    swarmd, tiny_model_dir, tmp_path
) -> None:
    path = write(tmp_path, tiny_model_dir)
    path.write_text(path.read_text().replace("rounds = 1", "round = 1"))
    outcome = swarmd("experiment", "run", path, "--out", tmp_path / "results")
    assert outcome.code == 2
    assert "round: unknown key; did you mean 'rounds'?" in outcome.err
    assert not (tmp_path / "results").exists()
