"""Adaptive J in an experiment: it moves, every round says where it is, and a kill changes nothing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarmd.tasks import Score
from tests.experiment.making import KilledError, Watched, make_config, run


def by_length(_: int, text: str) -> Score:
    """Differs from group to group and round to round, and is the same for the same text."""
    return Score(float(len(text) % 2), bare=True)


def wanted(folder: Path) -> list[int]:
    """J of each node and round."""
    [path] = folder.glob("runs/*/rounds.jsonl")
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["external_wanted"] for line in lines if line["kind"] == "node"]


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> None:
    """Two rounds and any change of success are enough to move J."""
    monkeypatch.setattr("swarmd.learning.adaptive_external.WINDOW", 2)
    monkeypatch.setattr("swarmd.learning.adaptive_external.SURE", 0.0)


async def test_j_moves_within_its_bounds_and_is_the_same_after_a_kill(tiny_model_dir, tmp_path) -> None:
    learning = {
        "group_size": 4,
        "warmup_steps": 0,
        "adaptive_external": True,
        "external_tokens": "all",  # text without an answer moves J, too
    }
    config = make_config(tiny_model_dir, rounds=8, learning=learning, evaluate_every=8)
    await run(config, tmp_path / "whole", score_by=by_length)
    whole = wanted(tmp_path / "whole")
    assert whole[:4] == [2, 2, 2, 2], "a first window has nothing to compare with"
    assert set(whole) <= {0, 1, 2}
    assert len(set(whole)) > 1
    with pytest.raises(KilledError):
        await run(config, tmp_path / "killed", Watched(5), score_by=by_length)
    await run(config, tmp_path / "killed", score_by=by_length)
    assert wanted(tmp_path / "killed") == whole


async def test_without_the_option_every_round_wants_what_is_configured(tiny_model_dir, tmp_path) -> None:
    await run(make_config(tiny_model_dir), tmp_path, score_by=by_length)
    assert set(wanted(tmp_path)) == {2}
