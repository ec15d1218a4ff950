"""Rotary positions (arXiv 2104.09864). The first half of a head is paired with the second, as in
transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def rotations(rotary: nn.Module, positions: Tensor, like: Tensor) -> Tensor:
    """Cosines and sines [2, N, 1, d] in float32 for positions [N], the first half of the sines negated.

    `rotary` is the model's own module. It rounds to the dtype of `like`, as it does in the model's forward.
    """
    module: Any = rotary
    cosines, sines = module(like[:1], positions[None])
    half = sines.shape[-1] // 2
    signed = torch.cat((-sines[..., :half], sines[..., half:]), dim=-1)
    return torch.stack((cosines[0], signed[0])).float()[:, :, None]


def rotate(heads: Tensor, rotation: Tensor) -> Tensor:
    """Float32 heads [N, n, d], rotated by rotation [2, N, 1, d]."""
    cosines, signed_sines = rotation
    swapped = heads.roll(heads.shape[-1] // 2, dims=-1)
    return torch.addcmul(heads * cosines, swapped, signed_sines)


def rotate_back(heads: Tensor, rotation: Tensor) -> Tensor:
    """The inverse of `rotate`, which is also its gradient."""
    cosines, signed_sines = rotation
    swapped = heads.roll(heads.shape[-1] // 2, dims=-1)
    return torch.addcmul(heads * cosines, swapped, signed_sines, value=-1)
