"""What a run lost of what it had gained, and success on own and others' tasks. The rest is in test_report."""

from __future__ import annotations

import numpy as np
import pytest

from swarmd.experiment.reporting.measures import CURVES, QUANTITIES, split
from swarmd.experiment.reporting.results import HeldOut
from tests.experiment.made_up_results import made_up_run


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
    success = np.array([[0.0, 0.2], [0.4, 0.6]])
    found = split(HeldOut((0, 1), (0, 1), success, {"gcd": success}), [["gcd"], ["count_bits"]])
    assert np.isnan(found.own).tolist() == [True, True]
    first = success[:, :1]
    assert split(HeldOut((0, 1), (0,), first, {"gcd": first}), [["gcd"]]).own.tolist() == [0.0, 0.4]


def test_beside_attackers_each_learner_is_judged_by_its_own_speciality() -> None:
    """The first node attacks, so the first column is the second node's."""
    gcd, bits = np.array([[0.1, 0.2]]), np.array([[0.3, 0.4]])
    held_out = HeldOut((0,), (1, 2), (gcd + bits) / 2, {"gcd": gcd, "count_bits": bits})
    found = split(held_out, [["gcd"], ["gcd"], ["count_bits"]])
    assert found.own.tolist() == [pytest.approx((0.1 + 0.4) / 2)]
    assert found.others.tolist() == [pytest.approx((0.3 + 0.2) / 2)]
