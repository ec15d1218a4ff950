"""What a run lost of what it had gained, and success on own and others' tasks. The rest is in test_report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swarmd.experiment.reporting.measures import CURVES, QUANTITIES, HandedOn, handed_on, split, writing
from swarmd.experiment.reporting.results import HeldOut
from tests.experiment.made_up_results import made_up_run

TWO_NODES = np.array([[0.0, 0.2], [0.4, 0.6]])
"""Success of two nodes before and after."""


@pytest.mark.parametrize(
    ("curve", "peak", "drop", "falls"),
    [
        ([0.0, 0.1, 0.3, 0.3], 0.3, 0.0, 0.0),  # only rises
        ([0.0, 0.4, 0.3, 0.1], 0.4, 0.3, 0.3),  # rises and forgets
        ([0.0, 0.3, 0.1, 0.3, 0.1, 0.4], 0.4, 0.0, 0.4),  # oscillates, and loses nothing in the end
        ([0.2], 0.2, 0.0, 0.0),
    ],
)
def test_drop_is_what_was_lost_in_the_end_and_falls_what_was_lost_on_the_way(
    curve, peak, drop, falls
) -> None:
    found = {name: of(np.array(curve)) for name, of in QUANTITIES.items()}
    assert found == {"peak": pytest.approx(peak), "drop": pytest.approx(drop), "falls": pytest.approx(falls)}


def test_own_reward_is_smoothed_and_held_out_success_is_not() -> None:
    run = made_up_run([0.0, 1.0] * 20, held_out=[0.0, 0.5, 0.2])  # window of 2
    assert CURVES["own"](run)[1:] == pytest.approx(0.5)
    assert CURVES["held_out"](run) == pytest.approx([0.0, 0.5, 0.2])


def test_a_task_without_held_out_questions_leaves_a_gap() -> None:
    run = made_up_run([0.0], held_out=[0.0, 0.4])
    two = replace(run, learners=(0, 1), held_out=HeldOut((0, 1), TWO_NODES, {"gcd": TWO_NODES}))
    assert np.isnan(split(two, [["gcd"], ["count_bits"]]).own).tolist() == [True, True]
    assert split(run, [["gcd"]]).own.tolist() == [0.0, 0.4]


def test_an_attacker_has_no_column_and_its_speciality_is_not_looked_at() -> None:
    held_out = HeldOut((0, 1), TWO_NODES, {"gcd": TWO_NODES, "products": 1 - TWO_NODES})
    run = replace(made_up_run([0.0]), learners=(0, 2), held_out=held_out)
    found = split(run, [["gcd"], ["never asked"], ["products"]])
    assert found.own == pytest.approx([(0.0 + 0.8) / 2, (0.4 + 0.4) / 2])
    assert found.others == pytest.approx([(1.0 + 0.2) / 2, (0.6 + 0.6) / 2])


def test_what_others_learned_of_a_task_is_told_beside_what_its_specialists_could_do() -> None:
    success = np.array([[0.8, 0.0, 0.0], [0.7, 0.2, 0.6]])
    held_out = HeldOut((0, 1), success, {"gcd": success, "everybody's": success, "nobody's": success})
    asked = np.array([[2, 0, 1]] * 9 + [[1, 1, 3]], dtype=np.float64)  # groups of gcd, by round and node
    earned = np.array([[1.5, 0.0, 0.1]] * 9 + [[0.5, 0.2, 1.4]])
    run = replace(
        made_up_run([0.0] * 10),
        learners=(0, 1, 2),
        held_out=held_out,
        asked_by_task={"gcd": asked},
        earned_by_task={"gcd": earned},
    )
    lists = [["gcd", "everybody's"], ["everybody's"], ["everybody's"]]
    assert handed_on(run, lists) == {
        "gcd": HandedOn(
            level=0.8,
            others=pytest.approx(0.4),
            least=0.2,
            asked_level=0.75,  # the specialist in the first five rounds
            asked_others=pytest.approx(0.4),  # four groups of the other two in the last round
        )
    }


def test_a_task_that_nobody_asked_has_no_reward_on_own_questions() -> None:
    held_out = HeldOut((0, 1), TWO_NODES, {"gcd": TWO_NODES, "products": TWO_NODES})
    run = replace(made_up_run([0.0]), learners=(0, 1), held_out=held_out)
    never = {"products": np.zeros((1, 2))}
    found = handed_on(replace(run, asked_by_task=never, earned_by_task=never), [["gcd", "products"], []])
    assert np.isnan([found["gcd"].asked_level, found["products"].asked_others]).all()


def test_what_nodes_write_is_told_of_the_first_round_and_of_the_end() -> None:
    run = made_up_run([0.0] * 20, tokens=[10.0] + [20.0] * 17 + [30.0, 50.0])
    run = replace(run, completions=np.full((20, 1), 2.0), entropy=np.linspace(1.0, 0.05, 20)[:, None])
    run = replace(run, finished=np.array([1.0] * 18 + [0.75, 0.25])[:, None])
    assert writing(run) == {
        "finished": {"first": 1.0, "end": 0.5},
        "length": {"first": 5.0, "end": 20.0},
        "entropy": {"first": 1.0, "end": pytest.approx(0.075)},
    }


def test_runs_that_did_not_count_completions_have_no_length() -> None:
    assert np.isnan(writing(made_up_run([0.0]))["length"]["end"])
