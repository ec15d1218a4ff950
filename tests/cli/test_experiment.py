"""swarmd experiment with a real policy and a real sandbox."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_eval import MANIFEST
from tests.experiment.made_up_results import write_results

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


def test_an_experiment_runs_with_the_model_given_and_is_reported(swarmd, tiny_model_dir, tmp_path) -> None:
    out = tmp_path / "results"
    file = write(tmp_path, tmp_path / "none")
    ran = swarmd("experiment", "run", file, "--model", tiny_model_dir, "--out", out, "--seeds", 2)
    assert ran.code == 0, ran.err
    assert len(list((out / "runs").glob("*/rounds.jsonl"))) == 2
    reported = swarmd("experiment", "report", out, "--no-plots")
    assert reported.code == 0, reported.err
    assert str(out / "report.md") in reported.out
    assert "| 1/1 |" in (out / "report.md").read_text()
    assert "<td>1/1</td>" in (out / "report.html").read_text()


def test_a_file_that_is_wrong_is_refused_by_the_key_and_nothing_is_written(
    swarmd, tiny_model_dir, tmp_path
) -> None:
    path = write(tmp_path, tiny_model_dir)
    path.write_text(path.read_text().replace("rounds = 1", "round = 1"))
    outcome = swarmd("experiment", "run", path, "--out", tmp_path / "results")
    assert outcome.code == 2
    assert "round: unknown key; did you mean 'rounds'?" in outcome.err
    assert not (tmp_path / "results").exists()


def test_two_configurations_are_compared_for_people_and_for_programs(swarmd, tmp_path) -> None:
    write_results(tmp_path)
    sides = (f"{tmp_path}:2/2", f"{tmp_path}:4/0")
    shown = swarmd("experiment", "compare", *sides, "--equal", "tokens")
    assert shown.code == 0, shown.err
    assert "at equal tokens, 2 pairs by seed, seeds 0, 1" in shown.out
    values = json.loads(swarmd("experiment", "compare", *sides, "--pairs", "node", "--json").out)
    assert (values["pairs"], values["own"]["p"]) == ("node", 0.125)
    refused = swarmd("experiment", "compare", tmp_path, tmp_path)
    assert refused.code == 2
    assert "several configurations" in refused.err


def test_the_curve_over_several_experiments_is_written_where_it_is_told(swarmd, tmp_path) -> None:
    write_results(tmp_path / "one")
    drawn = swarmd("experiment", "curve", tmp_path / "one", "--out", tmp_path / "curve", "--no-plots")
    assert drawn.code == 0, drawn.err
    assert drawn.out.split() == [
        str(tmp_path / "curve" / name) for name in ("curve.json", "curve.md", "curve.html")
    ]
