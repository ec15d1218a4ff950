"""Keeps matplotlib out of the worker, where a dependency of reasoning-gym imports it but no task uses it.

cellpylib, which makes the boards of game_of_life, imports matplotlib at its top. This would be a third of the
worker's start-up time and memory, in each of a peer's two workers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from swarmd.tasks.empty_modules import EmptyModules, top_of

PLOTTING = ("matplotlib", "mpl_toolkits")


class _Empty(ModuleType):
    """A module in which every name exists, as an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextmanager
def without_plotting() -> Iterator[None]:
    """Within the block, import matplotlib as empty modules. Later imports get the real ones.

    Does nothing if the process has already imported matplotlib.
    """
    if any(name in sys.modules for name in PLOTTING):
        yield
        return
    finder = EmptyModules(PLOTTING, _Empty)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if top_of(name) in PLOTTING]:
            del sys.modules[name]
