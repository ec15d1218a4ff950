"""Keeps matplotlib out of the worker, where a dependency of reasoning-gym imports it but no task uses it.

cellpylib, which makes the boards of game_of_life, imports matplotlib at its top. This would be a third of the
worker's start-up time and memory, in each of a peer's two workers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PLOTTING = ("matplotlib", "mpl_toolkits")


class _Empty(ModuleType):
    """A module in which every name exists, as an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _EmptyModules(MetaPathFinder, Loader):
    """Finds an empty module for every name within `PLOTTING`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _is_plotting(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is empty."""


def _is_plotting(module: str) -> bool:
    return module.partition(".")[0] in PLOTTING


@contextmanager
def without_plotting() -> Iterator[None]:
    """Within the block, import matplotlib as empty modules. Later imports get the real ones.

    Does nothing if the process has already imported matplotlib.
    """
    if any(name in sys.modules for name in PLOTTING):
        yield
        return
    finder = _EmptyModules()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_plotting(name)]:
            del sys.modules[name]
