"""LUFFY: others' good answers, shaped, and only where this peer has none of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.learning.batching import TrainRow
from swarmd.learning.external.batch import ExternalBatch

SHAPING = 0.1
"""gamma in f(pi) = pi / (pi + gamma): LUFFY's own value. The gradient is largest on tokens of about this
probability: neither on those already learned nor on those that come out of nowhere."""

SUCCESS_BELOW = 0.125
"""Own mean reward of a task family; 1/8 is one answer in a group of eight, partial credit apart."""


@dataclass(frozen=True)
class Luffy:
    """-f(pi) A with f(pi) = pi / (pi + gamma) per token, no clip (arXiv 2504.14945): the behaviour's
    probability is taken for 1 and never asked for.

    Only completions with A > 0, and only of task families on which this peer fails: its own mean reward of
    late is below `SUCCESS_BELOW`, or unknown (never asked yet, or I = 0). LUFFY mixes demonstrations into
    the group of the same question; peers ask different questions, so the family stands in for the question.
    """

    def trains_on(self, row: TrainRow) -> bool:
        fails = row.own_success is None or row.own_success < SUCCESS_BELOW
        return row.advantage > 0 and fails

    def __call__(self, batch: ExternalBatch) -> Tensor:
        fails = batch.own_success.isnan() | (batch.own_success < SUCCESS_BELOW)
        advantage = torch.where(fails, batch.advantages.clamp(min=0.0), 0.0)
        probability = torch.exp(batch.logprobs)
        return -advantage[:, None] * probability / (probability + SHAPING)
