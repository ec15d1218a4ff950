"""Left padding: prompts of different lengths end in the same column, where their completions begin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_left(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [P, S], and bool [P, S]: whether each is a token of the prompt."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_id)
    real = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        real[row, width - len(prompt) :] = True
    return ids.to(device), real.to(device)


def positions_of(real: Tensor) -> Tensor:
    """The position [P, S] of each token in its own prompt; 0 for padding."""
    return (real.cumsum(dim=-1) - 1).clamp(min=0)
