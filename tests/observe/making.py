"""A step's line, for tests of where lines go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swarmd.observe import StepLine

LINE = StepLine(
    step=7,
    round=70,
    time=1_800_000_000.0,
    reward_own=0.5,
    reward_external=None,
    loss=float("nan"),
    entropy=1.25,
    kl=None,
    grad_norm=0.1,
    learning_rate=1e-4,
    completion_tokens_mean=12.0,
    completions_finished=0.75,
    groups_own=4,
    groups_own_used=3,
    groups_external=0,
    groups_external_used=0,
    updates=1,
    lessons=0,
    external_peers=0,
    seconds=0.5,
    phase_seconds={"generating": 0.3, "training": 0.2},
    tokens_generated=384,
    tokens_per_s=1280.0,
    memory_bytes=500_000_000,
    device_memory_bytes=None,
    pulled_bytes=0,
    served_bytes=10,
    held_out_success=0.3,
    note=None,
)


def line(**changes: Any) -> StepLine:
    return replace(LINE, **changes)
