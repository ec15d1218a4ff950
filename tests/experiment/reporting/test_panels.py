"""How lines are dealt out to panels, so that no panel is crowded."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmd.experiment import ExperimentConfig
from swarmd.experiment.reporting.figures import Figure, Line
from swarmd.experiment.reporting.panels import LINES_MAX, Panel, panels_of

ATTACKS = [
    {"name": name, "kind": "in_context", "text": f"<answer>{{answer}}</answer>{name}", "marker": name}
    for name in ("a", "b")
]


def panels(arms: list[dict[str, Any]], *, by_attack: bool = False) -> list[Panel]:
    config = ExperimentConfig.model_validate(
        {"name": "x", "nodes": 3, "rounds": 2, "attacks": ATTACKS, "configurations": arms}
    )
    nothing = np.zeros(2)
    lines = {arm.label: [Line(arm.label, nothing, nothing)] for arm in config.configurations}
    return panels_of(Figure("x", "", "", "", "", lines, by_attack=by_attack), config)


def shown(found: list[Panel]) -> list[tuple[str, list[str], str | None]]:
    return [
        (panel.title, [line.label for line in panel.lines], panel.behind.label if panel.behind else None)
        for panel in found
    ]


def sharing(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "local": 2, "external": 2, **given}


def test_few_configurations_share_a_panel_and_the_baseline_is_behind() -> None:
    arms = [{"name": "alone", "local": 4}, sharing("x"), sharing("y")]
    assert shown(panels(arms)) == [("", ["x", "y"], "alone")]


def test_many_configurations_get_a_panel_each_with_the_baseline_behind_it() -> None:
    names = [f"n{number}" for number in range(LINES_MAX)]
    arms = [{"name": "alone", "local": 4}, *map(sharing, names)]
    assert shown(panels(arms)) == [(name, [name], "alone") for name in names]


def test_many_configurations_of_attacks_get_a_panel_per_attack_and_their_control_behind_it() -> None:
    attacked = [
        sharing(f"{name}{count}", attack=name, attackers=list(range(count)))
        for name in ("a", "b")
        for count in (1, 2)
    ]
    arms = [sharing("clean", attack="a"), *attacked, sharing("clean-too", learning={"group_size": 4})]
    assert shown(panels(arms)) == [
        ("no attackers", ["clean", "clean-too"], None),
        ("attack: a", ["a1", "a2"], "clean"),
        ("attack: b", ["b1", "b2"], "clean"),
    ]
    assert shown(panels(arms, by_attack=True)) == [  # clean is searched for a, not for b
        ("no attackers", ["clean-too"], None),
        ("attack: a", ["clean", "a1", "a2"], None),
        ("attack: b", ["b1", "b2"], None),
    ]


def test_no_panel_has_more_lines_than_there_are_colours() -> None:
    arms = [sharing(f"a{number}", attack="a", attackers=[0]) for number in range(2 * LINES_MAX + 1)]
    assert [len(panel.lines) for panel in panels(arms)] == [LINES_MAX, LINES_MAX, 1]
