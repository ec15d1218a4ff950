"""RMS norm (arXiv 1910.07467): x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension, in float32.

There are two forms: training needs the norm's scale again in the backward pass, and decoding needs few
kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from swarmd.logprobs.gradients import add_gradient


@dataclass(frozen=True)
class RmsNorm:
    """A norm for training. `weight` [H] is the model's own parameter."""

    weight: Tensor
    epsilon: float

    def scale(self, x: Tensor) -> Tensor:
        """1 / sqrt(mean(x^2) + epsilon): [..., 1] of float32 x [..., H]."""
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return length.square_().div_(x.shape[-1]).add_(self.epsilon).rsqrt_()

    def apply(self, x: Tensor, scale: Tensor) -> Tensor:
        """The normed x [..., H], given its `scale`."""
        return (x * scale).mul_(self.weight)

    def backward(self, grad_output: Tensor, x: Tensor, scale: Tensor) -> Tensor:
        """The gradient of float32 x, given that of the normed x. Adds the weight's gradient to
        `weight.grad`."""
        product = (grad_output * x).flatten(0, -2)
        if self.weight.requires_grad:
            add_gradient(self.weight, torch.mv(product.T, scale.flatten()))
        # The contribution of the norm itself: -x scale^3 mean(grad_output * weight * x).
        along = torch.mv(product, self.weight).view_as(scale)
        shrink = along.mul_(scale.pow(3)).div_(-x.shape[-1])
        return (grad_output * self.weight).mul_(scale).addcmul_(x, shrink)


class DecodingNorm:
    """The same norm for decoding, with the current weight. The result has the working dtype."""

    def __init__(self, norm: RmsNorm, dtype: torch.dtype) -> None:
        self.weight = norm.weight.detach()
        self.epsilon = norm.epsilon
        self._dtype = dtype
        self._one_kernel = self.weight.device.type != "cpu"
        size = self.weight.numel()
        # x / sqrt(mean(x^2) + epsilon) = sqrt(size) * x / hypot(|x|, sqrt(size * epsilon))
        self._scaled_weight = self.weight.float() * size**0.5
        self._floor = torch.tensor((size * self.epsilon) ** 0.5, device=self.weight.device)

    def __call__(self, x: Tensor) -> Tensor:
        """x [..., H] -> [..., H]"""
        if self._one_kernel:
            normed = functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        else:  # rms_norm is seven kernels on a CPU
            norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
            normed = (x / torch.hypot(norms, self._floor)).mul_(self._scaled_weight)
        return normed if normed.dtype == self._dtype else normed.to(self._dtype)
