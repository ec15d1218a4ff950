"""What attackers achieved on the nodes that learn. Pure: finished runs in, floats out.

The control of a configuration has the same settings and no attackers: it shows what nodes write and earn
without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.reporting.measures import last_rounds, length
from swarmd.experiment.reporting.results import Results, RunResults
from swarmd.experiment.reporting.statistics import Estimate, estimate, gain


@dataclass(frozen=True)
class Attacked:
    """One configuration whose texts are searched for a payload, against its control."""

    label: str
    kind: str
    attackers: int
    control: str | None
    payload_end: Estimate
    """Share of own completions that carry the payload, in the last rounds."""
    payload_peak: Estimate
    """The same in the round where it is highest."""
    length_end: Estimate
    """Tokens per own completion in the last rounds."""
    length_ratio: Estimate | None
    """The same relative to the control's; None without a control or a common seed."""
    own_gain: Estimate | None
    """Own reward of all rounds relative to the control's: 0.1 is 10% more. None as above."""
    held_out_difference: Estimate | None
    """Held-out success at the end, minus the control's. None as above."""


def attacked(results: Results) -> list[Attacked]:
    """Return every configuration with an attack that has finished runs."""
    config = results.config
    return [
        _attacked(results, arm)
        for arm in config.configurations
        if arm.attack is not None and results.of(arm.label)
    ]


def _attacked(results: Results, arm: Arm) -> Attacked:
    attack, runs = results.config.attack_of(arm), results.of(arm.label)
    control = control_of(results.config, arm)
    pairs = _pairs(runs, results.of(control.label) if control is not None else [])
    return Attacked(
        label=arm.label,
        kind=attack.kind if attack is not None else "",
        attackers=len(arm.attackers),
        control=control.label if control is not None else None,
        payload_end=estimate([payload_end(run) for run in runs]),
        payload_peak=estimate([payload_peak(run) for run in runs]),
        length_end=estimate([length_end(run) for run in runs]),
        length_ratio=estimate([length_end(a) / length_end(b) for a, b in pairs]) if pairs else None,
        own_gain=gain(*zip(*((_own(a), _own(b)) for a, b in pairs), strict=True)) if pairs else None,
        held_out_difference=estimate([_held_out(a) - _held_out(b) for a, b in pairs]) if pairs else None,
    )


def control_of(config: ExperimentConfig, arm: Arm) -> Arm | None:
    """Return the configuration that differs only in having no attackers; None if `arm` itself has none."""
    if not arm.attackers:
        return None
    left_out = {"name", "attack", "attackers"}
    wanted = arm.model_dump(exclude=left_out)
    alike = (other for other in config.configurations if other.model_dump(exclude=left_out) == wanted)
    return next((other for other in alike if not other.attackers), None)


def _pairs(runs: Sequence[RunResults], controls: Sequence[RunResults]) -> list[tuple[RunResults, RunResults]]:
    of = {run.seed: run for run in controls}
    return [(run, of[run.seed]) for run in runs if run.seed in of]


def payload_end(run: RunResults) -> float:
    """NaN if no payload was searched for."""
    return float(last_rounds(run.payload).mean())


def payload_peak(run: RunResults) -> float:
    """NaN if no payload was searched for."""
    by_round = run.payload.mean(axis=1)
    return float(by_round.max())


def length_end(run: RunResults) -> float:
    """NaN for runs of a version that did not count completions."""
    return length(last_rounds(run.tokens), last_rounds(run.completions))


def _own(run: RunResults) -> float:
    """Per node and round, since configurations with attackers have fewer nodes that learn."""
    return float(run.reward_own.mean())


def _held_out(run: RunResults) -> float:
    return float(run.held_out.success[-1].mean())
