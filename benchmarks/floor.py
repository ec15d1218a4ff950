"""What this machine could do at best: how fast it reads memory and multiplies, and what a step needs.

The floor of a step assumes that every weight is read once a decoding step (or multiplied at the full rate,
where that takes longer), that loss and backward multiply every token three times through every weight at the
full rate (prompts once a group), and that the optimiser reads four numbers a weight and writes three.
Attention, sampling and everything else is free.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

READ_BYTES = 2**30  # more than any cache of ordinary machines
MATRIX = 2_048
REPEATS = 20  # the best counts: other processes only ever slow it down
BYTES = {"float32": 4, "bfloat16": 2}
ADAM_NUMBERS = 7  # reads weight, gradient and two moments; writes weight and moments


@dataclass(frozen=True)
class Rates:
    """Of the device with the job's threads."""

    read_bytes_per_s: float
    matmul_flop_per_s: dict[str, float]


@dataclass(frozen=True)
class Shape:
    """What a step's cost depends on. Weights: the layers', and the output's, which embed the input too."""

    layer_weights: int
    head_weights: int
    groups: int
    group_size: int
    prompt_tokens: int
    """Mean of a group's prompt."""
    completion_tokens: int
    """Of all completions together."""
    dtype: str


@dataclass(frozen=True)
class Floor:
    """Seconds that no step can go below."""

    generation: float
    loss_backward: float
    optimizer: float

    @property
    def step(self) -> float:
        return self.generation + self.loss_backward + self.optimizer


def measure_rates(device: str, threads: int) -> Rates:
    """A few seconds of reading and multiplying."""
    torch.set_num_threads(threads)
    numbers = torch.ones(READ_BYTES // 4, device=device)
    read = READ_BYTES / _best_seconds(numbers.sum, device)
    del numbers
    rates = {}
    for name in BYTES:
        matrix = torch.ones(MATRIX, MATRIX, device=device, dtype=getattr(torch, name))
        rates[name] = 2 * MATRIX**3 / _best_seconds(partial(torch.matmul, matrix, matrix), device)
    return Rates(read, rates)


def floor(shape: Shape, rates: Rates) -> Floor:
    """The floors of one step; `rates` are the machine's."""
    flop = rates.matmul_flop_per_s[shape.dtype]
    weights = shape.layer_weights + shape.head_weights
    rows = shape.groups * shape.group_size
    decoding_steps = shape.completion_tokens / rows  # more where lengths differ
    one_step = max(weights * BYTES[shape.dtype] / rates.read_bytes_per_s, 2 * weights * rows / flop)
    prompts = shape.groups * shape.prompt_tokens
    layers = shape.layer_weights * (prompts + shape.completion_tokens)
    head = shape.head_weights * shape.completion_tokens
    return Floor(
        generation=decoding_steps * one_step + 2 * shape.layer_weights * prompts / flop,
        loss_backward=6 * (layers + head) / flop,
        optimizer=weights * 4 * ADAM_NUMBERS / rates.read_bytes_per_s,
    )


def _best_seconds(work: Callable[[], object], device: str) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best
