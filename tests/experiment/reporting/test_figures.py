"""What the curves of a report show: their lines, bands, notes, and what is there to compare with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swarmd.experiment import ExperimentConfig
from swarmd.experiment.reporting.figures import Figure, figures
from swarmd.experiment.reporting.results import HeldOut, Results, RunResults
from tests.experiment.made_up_results import made_up_run

CONFIG = ExperimentConfig.model_validate(
    {"name": "x", "nodes": 1, "rounds": 20, "configurations": [{"local": 8}, {"local": 4, "external": 0}]}
)


def drawn(*runs: RunResults, config: ExperimentConfig = CONFIG) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(Results(config, runs, 0))}


def two_nodes(run: RunResults) -> RunResults:
    """The second node earns 0.2 more."""
    reward = np.hstack([run.reward_own, run.reward_own + 0.2])
    held_out = np.hstack([run.held_out.success] * 2)
    return replace(
        run,
        learners=(0, 1),
        reward_own=reward,
        held_out=HeldOut(run.held_out.rounds, held_out, {"gcd": held_out}),
    )


def test_a_line_is_the_mean_over_seeds_and_its_band_is_from_the_lowest_to_the_highest_seed() -> None:
    figure = drawn(made_up_run([0.2] * 20), made_up_run([0.4] * 20, seed=1))["reward_own"]
    [line] = figure.lines["8/0"]
    assert line.across.tolist() == list(range(1, 21))
    assert line.mean == pytest.approx(0.3)
    assert (line.low, line.high) == (pytest.approx(0.2), pytest.approx(0.4))
    assert "Band: lowest to highest seed." in figure.note
    assert "2 seeds" in figure.note


def test_of_one_seed_the_band_is_of_nodes_and_the_note_says_so() -> None:
    figure = drawn(two_nodes(made_up_run([0.2] * 20)))["reward_own"]
    [line] = figure.lines["8/0"]
    assert (line.low, line.high) == (pytest.approx(0.2), pytest.approx(0.4))
    assert "Band: lowest to highest node." in figure.note


def test_where_one_configuration_has_several_seeds_no_band_is_of_nodes() -> None:
    one = replace(two_nodes(made_up_run([0.2] * 20)), label="4/0")
    figure = drawn(made_up_run([0.2] * 20), made_up_run([0.4] * 20, seed=1), one)["reward_own"]
    [line] = figure.lines["4/0"]
    assert (line.low, line.high) == (None, None)
    assert "1 to 2 seeds" in figure.note


def test_the_note_names_the_window_that_a_curve_is_smoothed_over() -> None:
    figure = drawn(made_up_run([0.0, 1.0] * 10))["reward_own"]
    assert "Each point: mean of the last 2 rounds." in figure.note
    assert figure.lines["8/0"][0].mean[1:] == pytest.approx(0.5)
    few = CONFIG.model_copy(update={"rounds": 4})
    assert "Not smoothed." in drawn(made_up_run([0.0] * 4), config=few)["reward_own"].note


def test_the_first_round_and_the_first_evaluation_are_there_to_compare_with() -> None:
    found = drawn(made_up_run([0.1, *[0.5] * 19], held_out=[0.2, 0.6]))
    assert found["reward_own"].level == ("untrained", pytest.approx(0.1))
    assert found["held_out"].level == ("untrained", pytest.approx(0.2))


def test_length_and_entropy_are_shown_if_the_runs_tell_them() -> None:
    run = made_up_run([0.0] * 20, tokens=50.0)
    assert not {"length", "entropy", "payload"} & drawn(run).keys()
    told = replace(run, completions=np.full((20, 1), 10.0), entropy=np.full((20, 1), 0.7))
    found = drawn(told)
    assert found["length"].lines["8/0"][0].mean == pytest.approx(5.0)
    assert found["entropy"].lines["8/0"][0].mean == pytest.approx(0.7)


def test_rounds_without_a_value_are_left_out_of_the_line() -> None:
    entropy = np.full((20, 1), np.nan)
    entropy[9:12] = 0.5
    [line] = drawn(replace(made_up_run([0.0] * 20), entropy=entropy))["entropy"].lines["8/0"]
    assert line.across.tolist() == [10, 11, 12, 13]  # the window of two reaches one further


def test_what_was_not_measured_has_no_figure() -> None:
    run = made_up_run([np.nan] * 20, tokens=np.nan)
    assert not {"reward_own", "reward_by_tokens", "reward_by_time"} & drawn(run).keys()
    assert "reward_by_tokens" not in drawn(made_up_run([0.1] * 20, tokens=np.nan))


def test_a_note_says_how_many_nodes_learn() -> None:
    attacked = replace(two_nodes(made_up_run([0.0] * 20)), label="4/0")
    assert (
        "Mean of the 1 to 2 nodes that learn" in drawn(made_up_run([0.0] * 20), attacked)["reward_own"].note
    )
