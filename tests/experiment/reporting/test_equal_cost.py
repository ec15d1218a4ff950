"""Two runs are looked at up to what the cheaper one spent; sharing against what one can do alone at that
cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swarmd.experiment import ExperimentConfig
from swarmd.experiment.reporting.equal_cost import against, against_solo, cut, cut_pair, rounds_paid
from swarmd.experiment.reporting.results import Results
from tests.experiment.made_up_results import made_up_run


def test_a_part_of_a_round_counts_as_that_part() -> None:
    assert rounds_paid(np.array([10.0, 10.0, 10.0]), 15) == pytest.approx([1, 0.5, 0])
    assert rounds_paid(np.array([10.0, 10.0, 10.0]), 30) == pytest.approx([1, 1, 1])


def test_a_round_that_cost_nothing_is_paid_until_the_budget_is_spent() -> None:
    assert rounds_paid(np.array([0.0, 10.0, 0.0, 10.0]), 10) == pytest.approx([1, 1, 0, 0])


def test_runs_with_fewer_learners_are_not_cheaper() -> None:
    both = made_up_run([0.5, 0.7])
    twice = {
        name: np.repeat(getattr(both, name), 2, axis=1) for name in ("reward_own", "reward_mixed", "tokens")
    }
    phases = {name: np.repeat(spent, 2, axis=1) for name, spent in both.phases.items()}
    more = replace(both, learners=(0, 1), phases=phases, **twice)
    for basis in ("tokens", "time"):
        assert [found.rounds for found in cut_pair(both, more, basis)] == [2, 2]


def test_an_unlucky_round_that_cost_more_counts_no_more_than_another() -> None:
    run = made_up_run([0.0, 1.0, 0.0, 1.0], tokens=[30, 10, 30, 10])
    assert cut(run, "tokens", 80).own == pytest.approx([0.5])
    assert cut(run, "tokens", 55).own == pytest.approx([1 / 2.5])


def test_held_out_success_lies_on_the_line_between_two_evaluations() -> None:
    run = made_up_run([0.0] * 4, held_out=[0.0, 0.4, 0.6])
    assert cut(run, "tokens", 10).held_out == pytest.approx([0.2])
    assert cut(run, "tokens", 30).tasks["gcd"] == pytest.approx([0.5])


@pytest.mark.parametrize(("basis", "rounds"), [("rounds", 2), ("tokens", 1), ("time", 2)])
def test_both_runs_of_a_pair_end_where_the_cheaper_one_does(basis, rounds) -> None:
    short, long = made_up_run([1.0, 1.0], tokens=5.0), made_up_run([0.0, 0.0, 1.0], tokens=10.0)
    ours, theirs = cut_pair(short, long, basis)
    assert (ours.rounds, theirs.rounds) == (2, pytest.approx(rounds))
    assert theirs.own == pytest.approx([0])


CONFIG = ExperimentConfig.model_validate(
    {
        "name": "three",
        "nodes": 2,
        "rounds": 4,
        "configurations": [
            {"name": "solo", "local": 4},
            {"name": "filtered", "local": 4, "kind": "filtered_solo", "generated_max": 8},
            {"name": "shared", "local": 2, "external": 2},
        ],
    }
)


def results_of(*runs) -> Results:
    return Results(CONFIG, runs, 0)


def test_the_strongest_solo_control_comes_first_and_may_be_another_at_another_cost() -> None:
    results = results_of(
        made_up_run([0.4] * 4, label="shared", tokens=10.0, seconds=1.0),
        made_up_run([0.1] * 2 + [0.3] * 2, label="solo", tokens=20.0, seconds=1.0),
        made_up_run([0.16] * 4, label="filtered", tokens=20.0, seconds=4.0),
    )
    at = {basis: against_solo(results, "shared", basis) for basis in ("tokens", "time")}
    assert [one.control for one in at["tokens"]] == ["filtered", "solo"]  # solo: only its first two rounds
    assert [one.control for one in at["time"]] == ["solo", "filtered"]  # solo: all of its rounds
    assert at["tokens"][0].own_gain.mean == pytest.approx(0.4 / 0.16 - 1)
    assert at["time"][0].own_gain.mean == pytest.approx(1.0)


def test_a_control_that_earned_nothing_is_the_weakest() -> None:
    results = results_of(
        made_up_run([0.4] * 4, label="shared"),
        made_up_run([0.0] * 4, label="solo"),
        made_up_run([0.1] * 4, label="filtered"),
    )
    assert [one.control for one in against_solo(results, "shared", "rounds")] == ["filtered", "solo"]


def test_only_seeds_that_both_have_are_compared() -> None:
    runs = [made_up_run([0.2 * (seed + 1)] * 4, label="shared", seed=seed) for seed in (0, 1, 2)]
    others = [made_up_run([0.1 * (seed + 1)] * 4, label="solo", seed=seed) for seed in (1, 2, 3)]
    found = against(runs, others, "rounds")
    assert found is not None
    assert found.seeds == (1, 2)
    assert found.own_gain.values == pytest.approx((1.0, 1.0))
    assert against(runs[:1], others, "rounds") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "first"),
    [([10, 10], [20, 20], "shared"), ([20, 20], [10, 10], "solo"), ([10, 20], [20, 10], "either"),
     ([10, 10], [10, 10], None)],
)  # fmt: skip
def test_who_ran_out_of_rounds_first_is_named(ours, theirs, first) -> None:
    runs = [made_up_run([0.1] * 4, label="shared", seed=s, tokens=t) for s, t in enumerate(ours)]
    others = [made_up_run([0.1] * 4, label="solo", seed=s, tokens=t) for s, t in enumerate(theirs)]
    found = against(runs, others, "tokens")
    assert found is not None
    assert found.ended_first == first
