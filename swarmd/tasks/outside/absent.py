"""Leaves out what a package from outside imports and no task of ours may use: services, downloads, screens.

Each such module is replaced by an empty one while the package is imported. Whoever calls something of it is
refused with what it would need, so an environment that needs it says so, and the others start sooner.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

from swarmd.tasks.source import RefusedTaskError


class NeedsError(RefusedTaskError):
    """An environment that needs what no peer can give it in the sandbox; the text says what."""

    kind: ClassVar[str] = "dataset"


class _Refusing(type):
    """The type of everything that an empty module has: it can be named and inherited, but not used."""

    needs: str

    def __call__(cls, *_: object, **__: object) -> object:
        raise NeedsError(cls.needs)

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Refusing(name, (), {"needs": cls.needs})

    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, str]:
        """As the type of a field it takes anything: nobody can make one of it."""
        return {"type": "any"}

    def __getitem__(cls, _: object) -> type:
        return cls

    def __or__(cls, _: object) -> Any:
        return cls

    __ror__ = __or__


class _EmptyModule(ModuleType):
    def __init__(self, name: str, needs: str) -> None:
        super().__init__(name)
        self._needs = needs

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Refusing(name, (), {"needs": self._needs})


class _EmptyModules(MetaPathFinder, Loader):
    def __init__(self, needs: Mapping[str, str]) -> None:
        self.needs = needs

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _top(fullname) in self.needs else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _EmptyModule(spec.name, self.needs[_top(spec.name)])

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


def _top(module: str) -> str:
    return module.partition(".")[0]


@contextmanager
def absent(needs: Mapping[str, str]) -> Iterator[None]:
    """Within the block, the modules named by `needs` are imported empty; a call raises NeedsError.

    `needs` maps a module's name to what its user needs. Those that were imported before come back afterwards.
    """
    kept = {name: module for name, module in sys.modules.items() if _top(name) in needs}
    for name in kept:
        del sys.modules[name]
    finder = _EmptyModules(needs)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _top(name) in needs]:
            del sys.modules[name]
        sys.modules.update(kept)
