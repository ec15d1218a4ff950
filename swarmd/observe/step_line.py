"""What one step did, as one flat line: stored in HOME/steps.jsonl and passed to sinks.

Fields are only ever added, so that programs that read the file keep working.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from swarmd.finite import finite


@dataclass(frozen=True)
class StepLine:
    """One policy update. None: there was nothing to measure."""

    step: int
    """From 1, over the life of the home. Steps are repeated after a kill; the later line counts."""
    round: int
    """The swarm's."""
    time: float
    """Unix time in seconds at the end of the step."""
    reward_own: float | None
    """Mean over own completions, 0..1."""
    reward_external: float | None
    """Mean over external completions, as scored here, 0..1."""
    loss: float | None
    entropy: float | None
    """Nats per token of own completions, at the sampling temperature."""
    kl: float | None
    """Against the reference, nats per token; None without a KL penalty."""
    grad_norm: float | None
    """Before clipping."""
    learning_rate: float
    completion_tokens_mean: float | None
    """Tokens per own completion."""
    completions_finished: float | None
    """Share of own completions that ended by themselves, 0..1; the others were cut off at the limit."""
    groups_own: int
    groups_own_used: int
    """Own groups that taught something."""
    groups_external: int
    groups_external_used: int
    updates: int
    """Updates of the weights: several with learning.updates_per_batch, or in a step that studies."""
    lessons: int
    """Right answers that were trained on again, by learning.rehearse or learning.study."""
    external_peers: int
    """Publishers of the external groups that were trained on."""
    seconds: float
    """Seconds of the whole step."""
    phase_seconds: Mapping[str, float]
    """Phase -> seconds: questions, generating, scoring, training."""
    tokens_generated: int
    tokens_per_s: float | None
    """Tokens generated per second of generating."""
    memory_bytes: int
    """Resident memory of the process."""
    device_memory_bytes: int | None
    """Peak memory that PyTorch held on the accelerator since the start; None on a CPU."""
    pulled_bytes: int
    """Bodies of external groups pulled since the daemon started."""
    served_bytes: int
    """Bodies of groups served to others since the daemon started."""
    held_out_success: float | None
    """The newest estimate, 0..1; it changes only after an evaluation."""
    note: str | None
    """Why the weights are unchanged, if they are."""

    def to_json(self) -> str:
        """Return one line without its line break. A number that is not finite is null."""
        return json.dumps(finite(dataclasses.asdict(self)), separators=(",", ":"), allow_nan=False)

    def scalars(self) -> dict[str, float]:
        """Return the numbers that are set, by name; phases as `phase_seconds/generating`."""
        found: dict[str, float] = {}
        for name, value in dataclasses.asdict(self).items():
            for key, each in value.items() if isinstance(value, Mapping) else [("", value)]:
                if isinstance(each, int | float) and math.isfinite(each):
                    found[f"{name}/{key}" if key else name] = float(each)
        return found
