"""What this machine can do at best: how fast it reads memory and multiplies, and the floor of a step.

The floor assumes that

- each decoding step reads every weight once (or multiplies by it at the full rate, if that takes longer);
- loss and backward multiply each token by each weight three times at the full rate (prompts once per group);
- the optimiser reads four numbers per weight and writes three;
- attention, sampling and everything else are free.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

READ_BYTES = 2**30  # larger than the caches of ordinary machines
SIDES = (256, 512, 1024, 2048)  # of square matrices: small ones first, because some CPUs emulate bfloat16
RATE_S = 1.0  # for each rate: long enough to catch an idle moment; all rates together take seconds
REPEATS_MIN = 3  # the best one counts: other processes can only slow it down
REPEATS_MAX = 20
BYTES = {"float32": 4, "bfloat16": 2}
ADAM_NUMBERS = 7  # reads weight, gradient and two moments; writes weight and moments


@dataclass(frozen=True)
class Rates:
    """The rates of the device, with the job's threads."""

    read_bytes_per_s: float
    matmul_flop_per_s: dict[str, float]


@dataclass(frozen=True)
class Shape:
    """The quantities that a step's cost depends on. The head is the output layer, which also embeds the
    input.
    """

    layer_weights: int
    head_weights: int
    groups: int
    group_size: int
    prompt_tokens: int
    """Mean per group."""
    completion_tokens: int
    """Total of all completions."""
    dtype: str


@dataclass(frozen=True)
class Floor:
    """Seconds: no step can be faster."""

    generation: float
    loss_backward: float
    optimizer: float

    @property
    def step(self) -> float:
        return self.generation + self.loss_backward + self.optimizer


def measure_rates(device: str, threads: int) -> Rates:
    """Measure by reading and multiplying, for about RATE_S seconds each, on any machine."""
    torch.set_num_threads(threads)
    numbers = torch.ones(READ_BYTES // 4, device=device)
    read = READ_BYTES / _best_seconds(numbers.sum, device)
    del numbers
    return Rates(read, {name: _matmul_rate(getattr(torch, name), device) for name in BYTES})


def _matmul_rate(dtype: torch.dtype, device: str) -> float:
    """Return operations per second, with the largest matrices that leave time for REPEATS_MIN products."""
    best = 0.0
    for side in SIDES:
        matrix = torch.ones(side, side, device=device, dtype=dtype)
        seconds = _best_seconds(partial(torch.matmul, matrix, matrix), device)
        best = max(best, 2 * side**3 / seconds)
        if seconds * (2**3) * REPEATS_MIN > RATE_S:  # twice the side length is eight times the work
            break
    return best


def floor(shape: Shape, rates: Rates) -> Floor:
    """Return the floor of one step on a machine with these `rates`."""
    flop = rates.matmul_flop_per_s[shape.dtype]
    weights = shape.layer_weights + shape.head_weights
    rows = shape.groups * shape.group_size
    decoding_steps = shape.completion_tokens / rows  # more if lengths differ
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
    best, until = float("inf"), time.perf_counter() + RATE_S
    for repeat in range(REPEATS_MAX):
        began = time.perf_counter()
        if repeat >= REPEATS_MIN and began > until:
            break
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best
