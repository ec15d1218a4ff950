"""What a node of a run spent in all rounds: seconds by phase, tokens by use; mean over nodes. Pure.

Equal time and equal tokens differ by this: others' groups are verified and trained on, and not generated.
"""

from __future__ import annotations

from swarmd.experiment.reporting.results import Array, RunResults


def seconds_by_phase(run: RunResults) -> dict[str, float]:
    """Phases as the run's lines name them; daemons tell the whole `step` only."""
    return {phase: _of_a_node(seconds) for phase, seconds in run.phases.items()}


def tokens_by_use(run: RunResults) -> dict[str, float]:
    """Generated, and in the groups trained on, own and others'. NaN where the lines do not tell."""
    return {
        "generated": _of_a_node(run.tokens),
        "trained_own": _of_a_node(run.trained_own),
        "trained_external": _of_a_node(run.trained_external),
    }


def _of_a_node(spent: Array) -> float:
    return float(spent.sum(axis=0).mean())
