"""Success on tasks of a node's own and on foreign ones; the rest is tested with the report."""

from __future__ import annotations

import numpy as np

from swarmd.experiment.reporting.results import HeldOut
from swarmd.experiment.reporting.specialists import split


def test_a_task_without_held_out_questions_leaves_a_gap() -> None:
    success = np.array([[0.0, 0.2], [0.4, 0.6]])
    found = split(HeldOut((0, 1), success, {"gcd": success}), [["gcd"], ["count_bits"]])
    assert np.isnan(found.own).tolist() == [True, True]
    assert split(HeldOut((0, 1), success, {"gcd": success}), [["gcd"]]).own.tolist() == [0.0, 0.4]
