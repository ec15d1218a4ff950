"""The keys and values of a batch being decoded, allocated once.

Prompts end in the same column, so all rows write their next token into the same column. When rows leave, rows
from the end move into their slots. So the batch remains one contiguous block, and little is copied.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MOVED_BYTES = 64 * 2**20  # of rows copied at once: half may move, and no second cache is planned for


class Column(NamedTuple):
    """Views of the slot for a layer's next token, [rows, kv heads, head size], and of the layer including it,
    [rows, kv heads, filled + 1, head size]."""

    key: Tensor
    value: Tensor
    keys: Tensor
    values: Tensor

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write the token [rows, kv heads, head size]. Returns all keys and values including it."""
        self.key.copy_(key)
        self.value.copy_(value)
        return self.keys, self.values


class KeyValueCache:
    """Keys and values [rows, kv heads, columns, head size] per layer. Only the first `filled` columns are
    valid.

    With `zeroed`, unwritten columns contain zeros, so that masked attention may read them.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        kv_heads: int,
        columns: int,
        head_size: int,
        dtype: torch.dtype,
        device: torch.device,
        zeroed: bool = False,
    ) -> None:
        allocate = torch.zeros if zeroed else torch.empty
        self._store = allocate(2, layers, rows, kv_heads, columns, head_size, dtype=dtype, device=device)
        self.rows = rows
        self.columns = columns
        self.dtype = dtype
        self.filled = 0

    def write_prompts(
        self, layer: int, first_row: int, keys: Tensor, values: Tensor, num_completions: int
    ) -> None:
        """Write keys and values [P, kv heads, S, head size] of P prompts, each into `num_completions` rows,
        right-aligned in the first `filled` columns. The rows start at `first_row`."""
        prompts, _, width, _ = keys.shape
        rows = slice(first_row, first_row + prompts * num_completions)
        columns = slice(self.filled - width, self.filled)
        for store, given in ((self._store[0], keys), (self._store[1], values)):
            own = store[layer, rows]
            by_prompt = own.view(prompts, num_completions, *own.shape[1:])
            # Zero the rest: a masked column is multiplied by zero, and zero times a leftover NaN would be
            # NaN.
            by_prompt[:, :, :, : columns.start].zero_()
            by_prompt[:, :, :, columns] = given[:, None]

    def next_column(self) -> list[Column]:
        """The next column of every layer, for one more token per row. All views are created together; one by
        one, they would take longer than attention in a small model."""
        now = self._store[:, :, : self.rows].flatten(0, 1)
        fresh = now[..., self.filled, :].unbind(0)
        every = now[..., : self.filled + 1, :].unbind(0)
        layers = len(fresh) // 2
        return [Column(fresh[n], fresh[layers + n], every[n], every[layers + n]) for n in range(layers)]

    def whole(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [rows, kv heads, columns, head size] of every layer, including unwritten
        columns."""
        keys, values = self._store[:, :, : self.rows].unbind(0)
        return list(zip(keys.unbind(0), values.unbind(0), strict=True))

    def advance(self) -> None:
        """Mark the next column as written."""
        self.filled += 1

    def keep(self, count: int, sources: Tensor, holes: Tensor) -> None:
        """Keep the first `count` rows after moving rows `sources` [M] into the slots `holes` [M]."""
        row_bytes = self._store[:, :, :1, :, : self.filled].numel() * self._store.itemsize
        at_once = max(1, MOVED_BYTES // row_bytes)
        for moved, into in zip(torch.split(sources, at_once), torch.split(holes, at_once), strict=True):
            self._store[:, :, into, :, : self.filled] = self._store[:, :, moved, :, : self.filled]
        self.rows = count
