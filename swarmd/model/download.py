"""Reports the progress of a model download through huggingface_hub's progress bars. Draws no bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # for callers that pass a class of it

BYTES_UNIT = "B"
"""Unit of the bars that count bytes; others count files."""

OVER_THE_NETWORK = ".transfer"
"""Suffix of the name of a second byte bar in huggingface_hub 2, whose total is meaningless."""


@dataclass(frozen=True)
class Downloaded:
    """The progress of one download at one moment."""

    model: str
    done: int
    """Bytes on this disk, including those of an earlier interrupted download."""
    total: int
    """Bytes of the files started so far: it grows until all are."""


Watch = Callable[[Downloaded | None], None]
"""Called by the download threads with the progress whenever bytes arrive. None marks the end."""


def bar_for(model: str, watch: Watch) -> type[tqdm]:
    """A progress bar class for `snapshot_download` that calls `watch` and prints nothing."""

    class Told(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            of_bytes = kwargs.get("unit") == BYTES_UNIT
            self._tells = of_bytes and not str(kwargs.get("name")).endswith(OVER_THE_NETWORK)
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0  # a disabled bar does not count
            if self._tells:
                watch(Downloaded(model, int(self.n), int(self.total or 0)))

    return Told
