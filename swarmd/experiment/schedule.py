"""Which runs an experiment consists of: one configuration, one learning rate, one seed each.

Where a configuration has several learning rates they are tried first, on seeds of their own, and the figures
are made with the best on fresh seeds: a rate chosen on the seeds it is judged by would flatter itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.seeding import SWEEP


@dataclass(frozen=True)
class RunSpec:
    """One run. `number` counts the seeds of its phase from 0."""

    arm: Arm
    rate: float
    number: int
    sweep: bool

    @property
    def seed(self) -> int:
        """What all of its randomness follows from."""
        return self.number + (SWEEP if self.sweep else 0)

    @property
    def name(self) -> str:
        """Of its file: unique within the experiment."""
        return f"{'sweep' if self.sweep else 'run'}-{self.arm.slug}-lr{self.rate}-seed{self.number}"


def sweep_runs(config: ExperimentConfig) -> list[RunSpec]:
    """The runs that choose a learning rate, of configurations that have a choice."""
    return [
        RunSpec(arm, rate, number, sweep=True)
        for arm in config.configurations
        if len(config.rates_of(arm)) > 1
        for rate in config.rates_of(arm)
        for number in range(config.sweep_seeds)
    ]


def main_runs(config: ExperimentConfig, best: Mapping[str, float]) -> list[RunSpec]:
    """The runs that make the figures; `best` is the rate of each configuration that had a choice.

    Seed by seed rather than configuration by configuration: an experiment that is stopped early has all of
    its configurations.
    """
    return [
        RunSpec(arm, best.get(arm.label, config.rates_of(arm)[0]), number, sweep=False)
        for number in range(config.seeds)
        for arm in config.configurations
    ]


def possible_runs(config: ExperimentConfig) -> list[RunSpec]:
    """Those of the sweep, and the ones that make the figures, whatever the sweep chooses."""
    return [
        *sweep_runs(config),
        *(
            RunSpec(arm, rate, number, sweep=False)
            for arm in config.configurations
            for rate in config.rates_of(arm)
            for number in range(config.seeds)
        ),
    ]


def best_rates(config: ExperimentConfig, rewards: Sequence[tuple[RunSpec, float]]) -> dict[str, float]:
    """Of each configuration swept, the rate with the highest mean of `rewards`; the first at a tie.

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
