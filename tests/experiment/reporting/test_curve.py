"""The gain of sharing against base success, over several results folders."""

from __future__ import annotations

import json

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.curve import write_curve
from tests.experiment.made_up_results import run_lines, write_lines, write_results


def test_every_sharing_configuration_is_a_row_from_the_poorest_base_up(tmp_path) -> None:
    write_results(tmp_path / "rich")
    write_results(tmp_path / "poor")
    for seed in (0, 1):
        for arm, reward in ((0, 0.01), (1, 0.03)):
            (tmp_path / "poor" / "runs" / f"run-{arm}-{seed}" / "rounds.jsonl").unlink()
            write_lines(tmp_path / "poor", f"again-{arm}-{seed}", run_lines(arm, seed, reward, 100, None))
    paths = write_curve([tmp_path / "rich", tmp_path / "poor"], tmp_path / "out", with_plot=False)
    assert paths == [tmp_path / "out" / f"curve.{end}" for end in ("json", "md", "html")]
    poor, rich = json.loads(paths[0].read_text())
    assert (poor["base"]["mean"], rich["base"]["mean"]) == (pytest.approx(0.01), pytest.approx(0.15))
    assert poor["gains"]["rounds"]["mean"] == pytest.approx(2.0)
    assert rich["gains"]["solo_tokens"]["mean"] == pytest.approx(1.0)
    assert "| 2/2 | 0.0100 (0.0100 to 0.0100) |" in paths[1].read_text()


def test_the_curve_is_drawn(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    write_results(tmp_path)
    assert tmp_path / "out" / "curve.svg" in write_curve([tmp_path], tmp_path / "out")
    assert "(curve.svg)" in (tmp_path / "out" / "curve.md").read_text()
    assert (tmp_path / "out" / "curve.html").read_text().count('src="data:image/svg+xml') == 1


def test_a_folder_in_which_nobody_shared_is_refused(tmp_path) -> None:
    write_results(tmp_path)
    for seed in (0, 1):
        (tmp_path / "runs" / f"run-1-{seed}" / "rounds.jsonl").unlink()
    with pytest.raises(ConfigError, match="lacks finished runs of a baseline or"):
        write_curve([tmp_path], tmp_path / "out", with_plot=False)
    assert not (tmp_path / "out").exists()
