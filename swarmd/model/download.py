"""How far the download of a model is, as huggingface_hub's progress bars know it. Draws no bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # for those who pass a class of it

BYTES_UNIT = "B"
"""Of the bars that count bytes; others count files."""

OVER_THE_NETWORK = ".transfer"
"""How the name of a second bar of bytes ends, in huggingface_hub 2: it has no total that means anything."""


@dataclass(frozen=True)
class Downloaded:
    """A moment of one download."""

    model: str
    done: int
    """Bytes on this disk, with those of an earlier download that was cut off."""
    total: int
    """Bytes of the files that were begun: it grows until all of them are."""


Watch = Callable[[Downloaded | None], None]
"""Is told how far a download is whenever bytes arrive, by the threads that download. None is its end."""


def bar_for(model: str, watch: Watch) -> type[tqdm]:
    """A class of progress bars, for `snapshot_download`, which tells `watch` and writes nothing."""

    class Told(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            of_bytes = kwargs.get("unit") == BYTES_UNIT
            self._tells = of_bytes and not str(kwargs.get("name")).endswith(OVER_THE_NETWORK)
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0  # a bar that is not shown does not count by itself
            if self._tells:
                watch(Downloaded(model, int(self.n), int(self.total or 0)))

    return Told
