"""Names of a package that are imported at first use, so that --help need not wait for all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def at_first_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of `package` (PEP 562). `modules`: public name -> the module of it that has it."""

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
