"""Decoding steps of constant shape, which an accelerator can replay without the interpreter.

A step of a small model is some hundred kernels of a few microseconds each. Launched one by one, they take ten
times as long as they run. A CUDA graph launches them all at once, but it replays fixed addresses and shapes.
So a step writes into the column given by a tensor, attends to every column behind a mask, and keeps its rows
until half of them have finished. Then the remaining rows are compacted, and the step is captured again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from swarmd.llama.batch import Batch
from swarmd.llama.forward import LlamaForward

MASK_ALIGNMENT = 16  # stride between rows of the mask is a multiple of this; CUDA's kernel copies other masks


class Steps(Protocol):
    """The steps of one batch."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits [R, V] after one more token [R] of every row. They are valid until the next call."""
        ...

    def leaves(self, alive: int) -> bool:
        """Whether finished rows should leave now that `alive` rows are still writing."""
        ...


class GrowingSteps:
    """Every step attends to one more column, and rows leave as soon as they finish. For the CPU."""

    def __init__(self, forward: LlamaForward, batch: Batch) -> None:
        self._forward = forward
        self._batch = batch

    def __call__(self, tokens: Tensor) -> Tensor:
        return self._forward.step(tokens, self._batch)

    def leaves(self, alive: int) -> bool:
        return alive < self._batch.cache.rows


class ReplayedSteps:
    """Every step has the same shape as the one before. With a `stream` for capturing, steps are replayed as
    CUDA graphs; without one, the same steps run one by one, on any device. The batch's cache must be
    `zeroed`.

    All captures of a process should share a stream, because cuBLAS keeps some memory for every stream that it
    has seen.
    """

    def __init__(self, forward: LlamaForward, batch: Batch, stream: torch.cuda.Stream | None) -> None:
        self._forward = forward
        self._batch = batch
        self._stream = stream
        self._rows: FixedRows | None = None
        self._replay: _Replay | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        if self._rows is None or self._rows.count != self._batch.cache.rows:
            # The first step of a shape runs uncaptured, because one-time kernel setup must not be captured.
            self._replay = None  # frees its memory before the next shape is allocated
            self._rows = FixedRows(self._batch)
            logits = self._forward.step(tokens, self._rows)
        elif self._stream is not None:
            if self._replay is None:
                self._replay = _Replay(self._forward, self._rows, self._stream)
            logits = self._replay(tokens)
        else:
            logits = self._forward.step(tokens, self._rows)
        self._batch.advance()
        return logits

    def leaves(self, alive: int) -> bool:
        return 2 * alive <= self._batch.cache.rows


class FixedRows:
    """A batch's rows with a constant shape, as `forward.Rows`. Its state is in tensors that change in
    place."""

    def __init__(self, batch: Batch) -> None:
        self.count = batch.cache.rows
        self._batch = batch
        self._positions = batch.positions.clone()
        self._at = torch.tensor([batch.cache.filled], device=self._positions.device)
        self._layers = batch.cache.whole()
        hidden = batch.hidden()
        width = -(-hidden.shape[1] // MASK_ALIGNMENT) * MASK_ALIGNMENT
        mask = torch.zeros(len(hidden), 1, 1, width, dtype=batch.cache.dtype, device=hidden.device)
        self._mask = mask[..., : hidden.shape[1]]
        self._mask.masked_fill_(hidden[:, None, None], float("-inf"))

    @property
    def rotations(self) -> Tensor:
        return self._batch.rotations_at(self._positions)

    @property
    def mask(self) -> Tensor:
        return self._mask

    def next_column(self) -> list[_IndexedColumn]:
        self._mask.index_fill_(-1, self._at, 0.0)
        return [_IndexedColumn(keys, values, self._at) for keys, values in self._layers]

    def advance(self) -> None:
        self._positions += 1
        self._at += 1


class _IndexedColumn(NamedTuple):
    """A layer's keys and values [rows, kv heads, columns, head size], and the column [1] to write next."""

    keys: Tensor
    values: Tensor
    at: Tensor

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self.at, key[:, :, None])
        self.values.index_copy_(2, self.at, value[:, :, None])
        return self.keys, self.values


class _Replay:
    """One captured step."""

    def __init__(self, forward: LlamaForward, rows: FixedRows, stream: torch.cuda.Stream) -> None:
        self._tokens = torch.zeros(rows.count, dtype=torch.long, device=forward.device)
        self._graph = torch.cuda.CUDAGraph()
        present = torch.cuda.current_stream(forward.device)
        stream.wait_stream(present)
        with torch.cuda.stream(stream):
            # Other threads may use the device at the same time: capture only this thread's calls.
            self._graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._logits = forward.step(self._tokens, rows)
            finally:
                self._graph.capture_end()
        present.wait_stream(stream)

    def __call__(self, tokens: Tensor) -> Tensor:
        self._tokens.copy_(tokens)
        self._graph.replay()
        return self._logits
