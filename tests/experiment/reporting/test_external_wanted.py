"""J over the rounds: every round is in one tenth, and the extremes of nodes and seeds are kept."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from swarmd.experiment.reporting.external_wanted import Wanted, by_tenth
from swarmd.experiment.reporting.writing import write_report
from tests.experiment.made_up_results import CONFIG, made_up_run, write_results


def wanting(*rounds: int):
    """A run of one node with this J in its rounds."""
    run = made_up_run([0.0] * len(rounds))
    return dataclasses.replace(run, external_wanted=np.array(rounds, dtype=np.float64)[:, None])


def test_tenths_hold_all_rounds_of_all_seeds() -> None:
    parts = by_tenth([wanting(*[4] * 21), wanting(*range(21))])
    assert [(part.first, part.last) for part in parts][::9] == [(1, 3), (20, 21)]
    assert parts[0] == Wanted(1, 3, mean=2.5, least=0, most=4)
    assert parts[-1] == Wanted(20, 21, mean=11.75, least=4, most=20)


def test_a_run_of_few_rounds_has_a_part_for_each() -> None:
    assert [part.mean for part in by_tenth([wanting(6, 3, 0)])] == [6, 3, 0]


def test_lines_without_it_give_nothing() -> None:
    assert by_tenth([made_up_run([0.1, 0.2])]) == []


def test_the_report_has_it_where_it_adapts_only(tmp_path) -> None:
    write_results(tmp_path)
    config = CONFIG.model_dump(mode="json")
    config["configurations"][1]["learning"] = {"adaptive_external": True}
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    write_report(tmp_path, with_plots=False)
    alone, sharing = json.loads((tmp_path / "report.json").read_text())["configurations"]
    assert alone["external_wanted"] is None
    assert [part["mean"] for part in sharing["external_wanted"]] == [2, 2, 2, 2]
    row = "| 2/2 | 2.0 (2 to 2) | 2.0 (2 to 2) | 2.0 (2 to 2) | 2.0 (2 to 2) | – | – |"
    assert row in (tmp_path / "report.md").read_text()
