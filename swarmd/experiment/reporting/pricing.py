"""The cost of a unit of work, computed from all rounds of an experiment, and the cost of a round at such
prices.

CPU seconds that were measured under different loads cannot be compared, because caches and memory are shared.
The prices are therefore computed from all runs together, and each run is charged its units at the same
prices.

Prices are least squares without negative coefficients: the CPU seconds of a phase as a sum over the units
that it grows with (`metering.UNITS_OF`). Other machines have other prices (`MACHINES`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from swarmd.experiment.metering import UNITS_OF, Unit

Array = NDArray[np.float64]
Prices = Mapping[Unit, float]
"""CPU seconds per unit."""

Machine = Literal["smollm2-135m", "qwen2.5-0.5b"]


def _of_a_model(generated: float, trained: float, update: float) -> Prices:
    """Return prices from seconds per token generated, per token trained on and per update. A token costs as
    much to train on, whoever wrote it.
    """
    return {
        "decoding_steps": 0.0,
        "tokens_generated": generated,
        "updates": update,
        "tokens_trained_own": trained,
        "tokens_trained_external": trained,
        "tokens_trained_lessons": trained,
    }


MACHINES: Mapping[Machine, Prices] = {
    "smollm2-135m": _of_a_model(generated=1.65 / 512, trained=3.2 / 512, update=0.0593),
    "qwen2.5-0.5b": _of_a_model(generated=2.69 / 128, trained=3.89 / 128, update=0.134),
}
"""Seconds per unit of a step of these models on two cores, without the parts that do not depend on the model.
Taken from the rows "ours, float32 fixed" of docs/benchmarks.md, 8 x 64 and 4 x 32 tokens; `python -m
benchmarks.prices` computes them from a new `python -m benchmarks.trainer --save`.
"""

EQUALLY_GOOD = 1e-10
"""Two explanations whose remaining errors differ by less than this share of all seconds are equally good:
rounding decides which of them looks better.
"""

MACHINE_NAMES: tuple[Machine, ...] = get_args(Machine)


def find_prices(counts: Mapping[str, Array], seconds: Mapping[str, Array]) -> dict[Unit, float]:
    """Return the price of each unit. `counts` by unit and `seconds` by phase are [rounds of nodes] each.

    A unit that no node used has the price 0. So has a unit that always occurred in the same proportion as
    earlier ones of its phase, as questions do if every round asks equally many: their costs cannot be told
    apart, and the earlier ones are charged with all of them. Runs of the same experiment cost the same in
    either case.
    """
    prices: dict[Unit, float] = {}
    for phase, units in UNITS_OF.items():
        columns = np.stack([counts[unit] for unit in units], axis=1)
        found = non_negative_least_squares(columns, seconds[phase])
        prices |= dict(zip(units, map(float, found), strict=True))
    return prices


def non_negative_least_squares(columns: Array, target: Array) -> Array:
    """Return x >= 0 [units] that minimises ||columns x - target||; `columns` is [rows, units] with few units.

    The minimum has some coefficients at 0 and is an ordinary least-squares solution in the others. It is
    therefore the best of those solutions that are not negative. If several are equally good, it is the one
    with the fewest units, and of these the one with the earliest.
    """
    units = columns.shape[1]
    best, least = np.zeros(units), float(np.linalg.norm(target))
    equal = EQUALLY_GOOD * least
    for size in range(1, units + 1):
        for chosen in combinations(range(units), size):
            part, *_ = np.linalg.lstsq(columns[:, chosen], target, rcond=None)
            left = float(np.linalg.norm(columns[:, chosen] @ part - target))
            if (part >= 0).all() and left < least - equal:
                best, least = np.zeros(units), left
                best[list(chosen)] = part
    return best


def charged(counts: Mapping[str, Array], prices: Prices) -> Array:
    """Return what `counts` by unit, of any one shape, cost at `prices`."""
    total: Array = np.sum([counts[unit] * price for unit, price in prices.items()], axis=0)
    return total


def by_phase(counts: Mapping[str, Array], prices: Prices) -> dict[str, Array]:
    """The same for each phase."""
    return {
        phase: charged(counts, {unit: prices[unit] for unit in units}) for phase, units in UNITS_OF.items()
    }


def on_machine(prices: Prices, machine: Machine) -> Prices:
    """Return `prices` with those of another model. Questions, scoring and records cost the same for every
    model.
    """
    return {**prices, **MACHINES[machine]}


def pooled(arrays: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Concatenate the values of several runs, by key."""
    return {key: np.concatenate([each[key].ravel() for each in arrays]) for key in arrays[0]}
