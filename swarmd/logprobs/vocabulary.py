"""Logprobs of chosen tokens under an output layer, computed one slice of the vocabulary at a time.

The logits of all positions never exist at once unless they are small. The gradient of the layer's weight is
added to `weight.grad` in place: with tied embeddings, every copy of it would be as large as the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.gradients import accumulated
from swarmd.logprobs.products import add_product, linear, product

SLICE_BYTES = 32 * 2**20  # float32 logits at once: small compared with any model, large enough to be fast
KEPT_BYTES = 128 * 2**20  # exp(logits) kept for backward; beyond this, recomputed (a third more work)
SLICE_TOKENS_MIN = 256  # of the vocabulary; narrower products are slow
CUDA_SLICE_TOKENS_MIN = 4_096
"""The same on CUDA, where each slice launches some twenty kernels. SmolLM2's 49,152 tokens at 16,384
positions, 512 at a time, took 2,000 launches: a third of a training step. With few positions, slices are
larger anyway."""


def chosen_logprobs(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    temperature: float,
    dtype: torch.dtype,
    factored: FactoredGradients,
) -> Tensor:
    """log softmax((hidden weight^T + bias) / temperature) at `targets`: float32 [C].

    hidden [C, H], weight [V, H], bias [V], targets [C]. Products are computed in `dtype`, sums in float32.
    Differentiable in hidden, weight and bias. The backward pass itself adds to `.grad` of the latter two, or
    to `factored`.
    """
    result: Tensor = _ChosenLogprobs.apply(hidden, weight, bias, targets, temperature, dtype, factored)  # type: ignore[no-untyped-call]
    return result


class _ChosenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        dtype: torch.dtype,
        factored: FactoredGradients,
    ) -> Tensor:
        working = hidden.to(dtype)
        count, vocab_size = len(hidden), len(weight)
        keep = any(ctx.needs_input_grad) and count * vocab_size * dtype.itemsize <= KEPT_BYTES
        highest = hidden.new_full((count,), float("-inf"), dtype=torch.float32)
        total = torch.zeros_like(highest)
        chosen = torch.zeros_like(highest)
        kept: list[Tensor] = []
        for start, stop in _slices(count, vocab_size, hidden.device):
            logits = _logits(working, weight, bias, (start, stop), dtype, temperature)
            inside, local = _inside(targets, start, stop)
            chosen = torch.where(inside, logits.gather(1, local)[:, 0], chosen)
            peak = logits.amax(dim=1)
            powers = logits.sub_(peak[:, None]).exp_()
            # Running log-sum-exp: the sum so far is rescaled whenever a higher logit appears.
            before, highest = highest, torch.maximum(highest, peak)
            total = total * (before - highest).exp() + powers.sum(dim=1) * (peak - highest).exp()
            if keep:
                kept += (powers.to(dtype), peak)
        normaliser = highest + total.log()
        ctx.save_for_backward(hidden, bias, targets, normaliser, *kept)
        ctx.temperature, ctx.dtype, ctx.weight, ctx.factored = temperature, dtype, weight, factored
        return chosen - normaliser

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        hidden, bias, targets, normaliser, *kept = ctx.saved_tensors
        weight: Tensor = ctx.weight
        working = hidden.to(ctx.dtype)
        hidden_gradient = torch.zeros_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        # If the weight's gradient stays factored, the gradient of all logits is one of the two factors.
        pends = ctx.factored.takes(weight, ctx.dtype)
        factor = working.new_empty(len(hidden), len(weight)) if pends else None
        share = grad_output[:, None] / ctx.temperature
        for index, (start, stop) in enumerate(_slices(len(hidden), len(weight), hidden.device)):
            # d log p(target) / d logit = 1(target) - softmax
            if kept:
                powers, peak = kept[2 * index : 2 * index + 2]
                grad_logits = powers * -(share * (peak - normaliser).exp()[:, None])
            else:
                logits = _logits(working, weight, bias, (start, stop), ctx.dtype, ctx.temperature)
                grad_logits = logits.sub_(normaliser[:, None]).exp_().mul_(-share)
            inside, local = _inside(targets, start, stop)
            grad_logits.scatter_add_(1, local, share * inside[:, None])
            grad_working = grad_logits.to(ctx.dtype)
            if hidden_gradient is not None:
                hidden_gradient += product(grad_working, weight[start:stop].to(ctx.dtype))
            if factor is not None:
                factor[:, start:stop] = grad_working
            elif ctx.needs_input_grad[1]:
                add_product(accumulated(weight)[start:stop], grad_working.T, working)
            if bias is not None and ctx.needs_input_grad[2]:
                accumulated(bias)[start:stop] += grad_logits.sum(dim=0)
        if factor is not None:
            ctx.factored.add(weight, factor, working)
        return (
            None if hidden_gradient is None else hidden_gradient.to(hidden.dtype),
            None,
            None,
            None,
            None,
            None,
            None,
        )


def slice_width(count: int, device: str) -> int:
    """Tokens of the vocabulary per slice for `count` positions, on a type of device such as "cuda"."""
    least = CUDA_SLICE_TOKENS_MIN if device == "cuda" else SLICE_TOKENS_MIN
    return max(least, SLICE_BYTES // (4 * max(1, count)))


def _slices(count: int, vocab_size: int, device: torch.device) -> Iterator[tuple[int, int]]:
    width = slice_width(count, device.type)
    return ((start, min(start + width, vocab_size)) for start in range(0, vocab_size, width))


def _logits(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    vocab_slice: tuple[int, int],
    dtype: torch.dtype,
    temperature: float,
) -> Tensor:
    """Logits of a slice of the vocabulary, divided by the temperature: float32, owned by the caller."""
    start, stop = vocab_slice
    of_slice = None if bias is None else bias[start:stop].to(dtype)
    logits = linear(hidden, weight[start:stop].to(dtype), of_slice)
    return logits.float() if temperature == 1 else logits.float().div_(temperature)


def _inside(targets: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Whether each target is in the slice [C], and its index there [C, 1], which is meaningless for all
    others.

    Never waits for an accelerator.
    """
    inside = (targets >= start) & (targets < stop)
    return inside, (targets - start).clamp(0, stop - start - 1)[:, None]
