"""Two runs are looked at up to what the cheaper one spent, each on its own rounds."""

from __future__ import annotations

import numpy as np
import pytest

from swarmd.experiment.reporting.equal_cost import cut, cut_pair, rounds_paid
from tests.experiment.made_up_results import made_up_run


def test_a_part_of_a_round_counts_as_that_part() -> None:
    assert rounds_paid(np.array([10.0, 10.0, 10.0]), 15) == pytest.approx([1, 0.5, 0])
    assert rounds_paid(np.array([10.0, 10.0, 10.0]), 30) == pytest.approx([1, 1, 1])


def test_a_round_that_cost_nothing_is_paid_until_the_budget_is_spent() -> None:
    assert rounds_paid(np.array([0.0, 10.0, 0.0, 10.0]), 10) == pytest.approx([1, 1, 0, 0])


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
