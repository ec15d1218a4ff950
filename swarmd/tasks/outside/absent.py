"""Stubs out modules that an outside package imports but no task may use: services, downloads, screens.

While the package is imported, each such module is replaced by an empty one. Calling anything in it raises an
error that names what is needed. So environments that need it are refused clearly, and all others start
sooner.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

from swarmd.tasks.empty_modules import EmptyModules, top_of
from swarmd.tasks.source import RefusedTaskError


class NeedsError(RefusedTaskError):
    """An environment needs something that the sandbox cannot give it; the text says what."""

    kind: ClassVar[str] = "dataset"


class _Refusing(type):
    """The type of everything in an empty module: it can be named and subclassed, but not used."""

    needs: str

    def __call__(cls, *_: object, **__: object) -> object:
        raise NeedsError(cls.needs)

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Refusing(name, (), {"needs": cls.needs})

    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, str]:
        """As a field's type it accepts anything, because nothing can create an instance of it."""
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


@contextmanager
def absent(needs: Mapping[str, str]) -> Iterator[None]:
    """Within the block, import the modules named by `needs` as empty; calling into them raises NeedsError.

    `needs` maps a module's name to what its user needs. Modules that were imported before are restored at the
    end.
    """
    kept = {name: module for name, module in sys.modules.items() if top_of(name) in needs}
    for name in kept:
        del sys.modules[name]
    finder = EmptyModules(needs, lambda name: _EmptyModule(name, needs[top_of(name)]))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if top_of(name) in needs]:
            del sys.modules[name]
        sys.modules.update(kept)
