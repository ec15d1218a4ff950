"""Prices of units of work, found from what phases took."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.experiment.metering import ROUNDS_WITH, UNITS_OF
from swarmd.experiment.reporting.pricing import (
    MACHINES,
    by_phase,
    charged,
    find_prices,
    non_negative_least_squares,
    on_machine,
)

UNITS = [unit for units in UNITS_OF.values() for unit in units]
COUNTS = st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=1, max_size=12)


@given(COUNTS, st.lists(st.floats(0, 10), min_size=3, max_size=3))
def test_seconds_that_are_sums_of_prices_are_explained_whole(counts, prices) -> None:
    columns = np.array(counts, dtype=np.float64)
    target = columns @ np.array(prices)
    found = non_negative_least_squares(columns, target)
    assert (found >= 0).all()
    assert columns @ found == pytest.approx(target, abs=1e-6)


@given(COUNTS, st.data())
def test_no_other_prices_explain_the_seconds_better(counts, data) -> None:
    columns = np.array(counts, dtype=np.float64)
    target = np.array(data.draw(st.lists(st.floats(0, 100), min_size=len(counts), max_size=len(counts))))
    other = np.array(data.draw(st.lists(st.floats(0, 10), min_size=3, max_size=3)))
    found = non_negative_least_squares(columns, target)
    assert (found >= 0).all()
    assert np.linalg.norm(columns @ found - target) <= np.linalg.norm(columns @ other - target) + 1e-6


def test_a_price_is_never_below_nothing() -> None:
    columns = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert non_negative_least_squares(columns, np.array([3.0, 1.0])) == pytest.approx([2.0, 0.0])


@given(st.integers(1, 50), st.lists(st.floats(0.001, 10), min_size=2, max_size=12))
def test_units_that_always_occur_together_are_charged_to_the_first(proportion, seconds) -> None:
    together = np.array([[1.0, proportion, 2.0 * proportion]] * len(seconds))
    found = non_negative_least_squares(together, np.array(seconds))
    assert found == pytest.approx([np.mean(seconds), 0.0, 0.0])


def test_another_order_of_the_rounds_does_not_move_a_price() -> None:
    rng = np.random.default_rng(0)
    rounds = rng.integers(1, 9, 200).astype(np.float64)
    columns, seconds = np.stack([rounds, 8 * rounds], axis=1), 0.3 * rounds + rng.random(200)
    for _ in range(20):
        order = rng.permutation(200)
        assert non_negative_least_squares(columns[order], seconds[order])[1] == 0.0


def counts_of(**given: list[float]) -> dict[str, np.ndarray]:
    return {unit: np.array(given.get(unit, [0.0, 0.0, 0.0])) for unit in UNITS}


def test_half_of_the_tokens_is_more_than_half_of_the_generating() -> None:
    counts = counts_of(decoding_steps=[5.0, 5.0, 10.0], tokens_generated=[40.0, 20.0, 80.0])
    seconds = {phase: np.zeros(3) for phase in UNITS_OF} | {"generating": np.array([0.09, 0.07, 0.18])}
    prices = find_prices(counts, seconds)
    assert prices["decoding_steps"] == pytest.approx(0.01)
    assert prices["tokens_generated"] == pytest.approx(0.001)
    assert charged(counts, prices) == pytest.approx([0.09, 0.07, 0.18])
    assert by_phase(counts, prices)["generating"] == pytest.approx([0.09, 0.07, 0.18])
    assert by_phase(counts, prices)["training"] == pytest.approx([0.0, 0.0, 0.0])


def test_half_of_the_questions_is_more_than_half_of_the_asking() -> None:
    counts = counts_of(rounds_asked=[1.0, 1.0, 0.0], questions=[8.0, 4.0, 0.0])
    seconds = {phase: np.zeros(3) for phase in UNITS_OF} | {"questions": np.array([0.018, 0.014, 0.0])}
    prices = find_prices(counts, seconds)
    assert (prices["rounds_asked"], prices["questions"]) == pytest.approx((0.01, 0.001))


def test_a_real_model_pays_the_same_for_any_token_that_it_trains_on() -> None:
    for prices in MACHINES.values():
        trained = {prices[unit] for unit in UNITS_OF["training"] if unit != "updates"}
        assert len(trained) == 1
        assert prices.keys() == {*UNITS_OF["generating"], *UNITS_OF["training"]}


def test_another_model_changes_what_models_do_and_nothing_else() -> None:
    prices = on_machine(dict.fromkeys(UNITS, 1.0), "smollm2-135m")
    for unit in ("questions", "completions_scored", "records_signed", "records_verified", *ROUNDS_WITH):
        assert prices[unit] == 1.0
    assert prices["tokens_generated"] == MACHINES["smollm2-135m"]["tokens_generated"] < 0.01
    assert prices.keys() == set(UNITS)
