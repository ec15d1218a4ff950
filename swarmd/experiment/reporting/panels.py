"""How the lines of a figure are distributed over panels, so that no panel is crowded. Draws nothing.

- Few configurations share one panel.
- Configurations with attackers: one panel per attack, with the swarm without attackers behind each.
- Otherwise, and for specialists: one panel per configuration, with the baseline behind each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.reporting.attacks import control_of
from swarmd.experiment.reporting.figures import Figure, Line

LINES_MAX = 5
"""Lines in one panel: as many as there are colours that everyone can tell apart."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `title` is empty if it is the only one."""

    title: str
    lines: Sequence[Line]
    behind: Line | None = None
    """A line to compare with, in grey."""


def panels_of(figure: Figure, config: ExperimentConfig) -> list[Panel]:
    """Return the panels of `figure`, in the order of the experiment's file."""
    arms = [arm for arm in config.configurations if arm.label in figure.lines]
    behind = _first(figure, config.baseline_label)
    if max(len(lines) for lines in figure.lines.values()) > 1:
        return [Panel(arm.label, figure.lines[arm.label]) for arm in arms]
    if len(arms) <= LINES_MAX:
        coloured = [figure.lines[arm.label][0] for arm in arms if arm.label != config.baseline_label]
        return [Panel("", coloured, behind)]
    if any(arm.attackers for arm in arms):
        return _by_attack(figure, config, arms)
    return [
        Panel(arm.label, figure.lines[arm.label], behind)
        for arm in arms
        if arm.label != config.baseline_label
    ]


def _by_attack(figure: Figure, config: ExperimentConfig, arms: Sequence[Arm]) -> list[Panel]:
    """Return the panels without attackers first, then as many panels per attack as needed."""
    groups: dict[str, list[Arm]] = {}
    for arm in arms:
        attack = arm.attack if arm.attackers or figure.by_attack else None
        groups.setdefault(attack or "", []).append(arm)
    panels = []
    for attack in sorted(groups, key=bool):
        for at in range(0, len(groups[attack]), LINES_MAX):
            some = groups[attack][at : at + LINES_MAX]
            panels.append(
                Panel(
                    f"attack: {attack}" if attack else "no attackers",
                    [figure.lines[arm.label][0] for arm in some],
                    None if figure.by_attack else _control(figure, config, some[0]),
                )
            )
    return panels


def _control(figure: Figure, config: ExperimentConfig, arm: Arm) -> Line | None:
    control = control_of(config, arm)
    return _first(figure, control.label if control is not None else config.baseline_label)


def _first(figure: Figure, label: str | None) -> Line | None:
    return figure.lines[label][0] if label is not None and label in figure.lines else None
