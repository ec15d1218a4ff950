"""Measure where a step's time goes, with the same boundaries for every trainer.

generation       prompts to completions, as tokens and text
optimiser        `Optimizer.step`, timed by PyTorch's own hooks; ours, which calls `adamw`, by `optimizing`
loss + backward  the rest of the step: batch assembly, logprobs, loss, backward, clipping
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ParamSpec, TypeVar

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class StepTimes:
    """Seconds of one step, and the tokens it generated. `cpu` counts all threads of this process: on a busy
    machine it varies less than wall-clock time.
    """

    step: float = 0.0
    cpu: float = 0.0
    generation: float = 0.0
    loss_backward: float = 0.0
    optimizer: float = 0.0
    tokens: int = 0

    def plain(self) -> dict[str, float]:
        return asdict(self)


class Stopwatch:
    """Collects the times of one step after another. Only one per process, because the hooks stay."""

    def __init__(self, device: str) -> None:
        self.steps: list[StepTimes] = []
        self._now = StepTimes()
        self._device = device
        self._optimizer_began = 0.0
        self._step_began = 0.0
        self._cpu_began = 0.0
        register_optimizer_step_pre_hook(self._before_optimizer)
        register_optimizer_step_post_hook(self._after_optimizer)

    def begin_step(self) -> None:
        self._now = StepTimes()
        self._step_began = self._clock()
        self._cpu_began = time.process_time()

    def end_step(self) -> None:
        now = self._now
        now.step = self._clock() - self._step_began
        now.cpu = time.process_time() - self._cpu_began
        now.loss_backward = now.step - now.generation - now.optimizer
        self.steps.append(now)

    @contextmanager
    def generation(self) -> Iterator[None]:
        """Wrap the code that generates."""
        began = self._clock()
        yield
        self._now.generation += self._clock() - began

    def generating(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function`, counted as generation."""

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.generation():
                return function(*args, **kwargs)

        return timed

    def optimizing(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function`, counted as optimiser."""

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            self._before_optimizer()
            result = function(*args, **kwargs)
            self._after_optimizer()
            return result

        return timed

    def count_tokens(self, tokens: int) -> None:
        """Add to the tokens of the step that began last, whether or not it has ended."""
        self._now.tokens += tokens

    def _clock(self) -> float:
        """Return the time once the device has finished all its work."""
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    def _before_optimizer(self, *_: Any) -> None:
        self._optimizer_began = self._clock()

    def _after_optimizer(self, *_: Any) -> None:
        self._now.optimizer += self._clock() - self._optimizer_began
