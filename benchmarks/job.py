"""What one process is told to do. Every trainer gets the same values, as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LEARNING_RATE = 1e-5
CLIP_LOW, CLIP_HIGH = 0.2, 0.28
TEMPERATURE = 1.0


@dataclass(frozen=True)
class Job:
    """One trainer's share of one case."""

    model_dir: str
    questions: tuple[str, ...]
    group_size: int
    new_tokens: int
    dtype: str
    device: str
    threads: int
    timed_steps: int
    seed: int
    checkpointing: bool = False
    engine: str = "auto"
    """Of ours: `--engine`."""

    @property
    def completions(self) -> int:
        return len(self.questions) * self.group_size

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Job:
        return cls(**{**plain, "questions": tuple(plain["questions"])})

    @property
    def path(self) -> Path:
        """The model's directory: weights, configuration, tokenizer."""
        return Path(self.model_dir)


def reward_of(index: int) -> float:
    """The reward of a completion by its index in the group, whatever it says.

    So every group has the same variance, every row has an advantage in every trainer, and scoring costs
    nothing.
    """
    return float(index % 2)
