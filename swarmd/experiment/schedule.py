"""The runs of an experiment, each with one configuration, one learning rate and one seed.

If a configuration has several learning rates, they are tried first, on separate seeds. The results are then
produced with the best rate on fresh seeds: a rate would look too good on the seeds that it was chosen by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.seeding import SWEEP


@dataclass(frozen=True)
class RunSpec:
    """One run. `index` counts the seeds of its phase from 0."""

    arm: Arm
    rate: float
    index: int
    sweep: bool

    @property
    def seed(self) -> int:
        """Determines all of its randomness."""
        return self.index + (SWEEP if self.sweep else 0)

    @property
    def name(self) -> str:
        """The name of its directory; unique within the experiment."""
        return f"{'sweep' if self.sweep else 'run'}-{self.arm.slug}-lr{self.rate}-seed{self.index}"


def sweep_runs(config: ExperimentConfig) -> list[RunSpec]:
    """Return the runs that choose a learning rate, for configurations that have several."""
    return [
        RunSpec(arm, rate, index, sweep=True)
        for arm in config.configurations
        if len(config.rates_of(arm)) > 1
        for rate in config.rates_of(arm)
        for index in range(config.sweep_seeds)
    ]


def main_runs(config: ExperimentConfig, best: Mapping[str, float]) -> list[RunSpec]:
    """Return the runs that produce the results. `best` is the rate of each configuration that has several.

    Ordered by seed, not by configuration: an experiment that is stopped early then has runs of all its
    configurations.
    """
    return [
        RunSpec(arm, best.get(arm.label, config.rates_of(arm)[0]), index, sweep=False)
        for index in range(config.seeds)
        for arm in config.configurations
    ]


def possible_runs(config: ExperimentConfig) -> list[RunSpec]:
    """Return the runs of the sweep, and the result runs for any rate that the sweep can choose."""
    return [
        *sweep_runs(config),
        *(
            RunSpec(arm, rate, index, sweep=False)
            for arm in config.configurations
            for rate in config.rates_of(arm)
            for index in range(config.seeds)
        ),
    ]


def best_rates(config: ExperimentConfig, rewards: Sequence[tuple[RunSpec, float]]) -> dict[str, float]:
    """For each configuration swept, the rate with the highest mean reward; the first in a tie.

    `rewards` has the cumulative own reward of every run of the sweep.
    """
    best: dict[str, float] = {}
    for arm in config.configurations:
        rates = config.rates_of(arm)
        if len(rates) > 1:
            means = [_mean([v for run, v in rewards if _is(run, arm, rate)]) for rate in rates]
            best[arm.label] = rates[means.index(max(means))]
    return best


def _is(run: RunSpec, arm: Arm, rate: float) -> bool:
    return run.sweep and run.arm.label == arm.label and run.rate == rate


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
