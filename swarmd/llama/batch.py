"""The state of rows that are decoded together: cache, positions, and which columns are padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.llama.cache import Column, KeyValueCache


class Batch:
    """Rows whose prompts end in the same column of the cache.

    positions [R] of each row's next token; mask [R, 1, 1, columns] to add to attention scores, None if all
    prompts are equally long.
    """

    def __init__(
        self, cache: KeyValueCache, lengths: Sequence[int], num_completions: int, rotations: Tensor
    ) -> None:
        device = rotations.device
        self.cache = cache
        self.positions = torch.tensor(lengths, device=device).repeat_interleave(num_completions)
        self._rotations = rotations
        self._mask: Tensor | None = None
        if min(lengths) < max(lengths):
            padding = max(lengths) - self.positions
            hidden = torch.arange(cache.columns, device=device) < padding[:, None]
            mask = torch.zeros(hidden.shape, dtype=cache.dtype, device=device)
            self._mask = mask.masked_fill_(hidden, float("-inf"))[:, None, None]

    @property
    def rotations(self) -> Tensor:
        """[2, R, 1, head size], at each row's position."""
        return self.rotations_at(self.positions)

    @property
    def mask(self) -> Tensor | None:
        """The mask of the filled columns and the one being written."""
        return None if self._mask is None else self._mask[..., : self.cache.filled + 1]

    def next_column(self) -> list[Column]:
        """The slot for the next token of every row, layer by layer."""
        return self.cache.next_column()

    def hidden(self) -> Tensor:
        """Which columns [R, columns] are not tokens: padding, and columns not yet written."""
        columns = torch.arange(self.cache.columns, device=self.positions.device)
        return (columns < (self.cache.filled - self.positions)[:, None]) | (columns >= self.cache.filled)

    def rotations_at(self, positions: Tensor) -> Tensor:
        """[2, R, 1, head size] at these positions [R]."""
        return self._rotations.index_select(1, positions)

    def advance(self) -> None:
        """Record that one token was added to every row."""
        self.cache.advance()
        self.positions = self.positions + 1

    def keep(self, alive: Tensor) -> Tensor:
        """Keep only the rows alive [R]. Returns the old index of the row now in each slot, [rows left]."""
        staying = int(alive.sum())
        rows = torch.arange(len(alive), device=alive.device)
        holes = rows[:staying][~alive[:staying]]
        sources = rows[staying:][alive[staying:]]
        self.cache.keep(staying, sources, holes)
        rows[holes] = sources
        rows = rows[:staying]
        self.positions = self.positions[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        return rows
