"""Adds to a parameter's gradient in place, from inside a backward pass.

Autograd would first create a separate tensor for every contribution. Autograd receives nothing for these
parameters, so hooks on them and `torch.autograd.grad` do not see their gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.products import add_product, product


def accumulated(parameter: Tensor) -> Tensor:
    """The parameter's gradient, created as zeros if there is none yet."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def add_gradient(parameter: Tensor | None, gradient: Tensor) -> None:
    """Add `gradient`, which has the parameter's shape. A missing or frozen parameter is skipped."""
    if parameter is None or not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient.to(parameter.dtype)
    else:
        parameter.grad += gradient


def add_linear_gradient(
    weight: Tensor, bias: Tensor | None, grad_output: Tensor, inputs: Tensor, factored: FactoredGradients
) -> None:
    """Add the gradients of weight [out, in] and bias [out], from grad_output [N, out] and inputs [N, in]."""
    if factored.takes(weight, inputs.dtype):
        factored.add(weight, grad_output, inputs)
    elif weight.requires_grad:
        if weight.grad is None:
            add_gradient(weight, product(grad_output.T, inputs))
        else:
            add_product(weight.grad, grad_output.T, inputs)
    if bias is not None:
        add_gradient(bias, grad_output.sum(dim=0, dtype=torch.float32))
