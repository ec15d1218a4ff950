"""The judges of this peer's tasks, as its status shows them."""

from __future__ import annotations

from swarmd.judges import Panel
from swarmd.observe import JudgeView


def judge_views(panel: Panel) -> tuple[JudgeView, ...]:
    """One per task that judges reward."""
    return tuple(
        JudgeView(
            task=found.task,
            judges=found.judges,
            calibrated=dict(found.calibrated),
            completions=found.own.completions,
            reward=found.own.reward,
            truth=found.own.truth,
            agreement=found.own.agreement,
        )
        for found in panel.views()
    )
