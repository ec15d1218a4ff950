"""Imports empty modules instead of real ones. What an empty module contains is up to the caller."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class EmptyModules(MetaPathFinder, Loader):
    """Finds, for every module whose top-level package is in `packages`, the one that `create` makes of its
    name.
    """

    def __init__(self, packages: Container[str], create: Callable[[str], ModuleType]) -> None:
        self._packages = packages
        self._create = create

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if top_of(fullname) in self._packages else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._create(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is empty."""


def top_of(module: str) -> str:
    """Return the top-level package of a module."""
    return module.partition(".")[0]
