"""What others' packages import for themselves and swarmd never uses, left out until somebody asks for it.

- `hivemind` and `transformers.models` import or read all that is in them before the first of their modules.
  Their own `__init__` runs when a name is asked for that no imported module of theirs has given.
- typer imports rich's Markdown, a fifth of `swarmd --help`, for help written in Markdown. Ours is not.
- transformers imports scipy for the losses of object detection, which no language model has. It looks whether
  scipy is installed, and is told no while it imports them.

Tried with hivemind 1.1.12, typer 0.29 and transformers 5.24. Any other transformers is imported as it wants
to be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

TRANSFORMERS = "5.24."
"""The releases in which what is left out was looked at."""


def spare_hivemind() -> None:
    """Leave out its trainers. Call this before the first import of a module of hivemind."""
    _defer("hivemind")


def spare_protocol() -> None:
    """Leave out our own `protocol/__init__.py`, and with it pydantic: a tenth of a task worker's start."""
    _defer("protocol")


def spare_transformers() -> None:
    """Leave out its list of all models, and scipy. Call this before a model's class is imported."""
    import transformers

    if not transformers.__version__.startswith(TRANSFORMERS):
        return
    _defer("transformers.models")
    _import_losses_without_scipy()


def spare_typer() -> None:
    """Import what prints its help, without Markdown. Whoever writes Markdown still gets rich's."""
    if "typer.rich_utils" in sys.modules or "rich.markdown" in sys.modules:
        return
    stand_in = ModuleType("rich.markdown")
    vars(stand_in)["Markdown"] = _Markdown
    sys.modules["rich.markdown"] = stand_in
    with suppress(ImportError):  # a typer that wants more of it imports the whole when it needs it
        import_module("typer.rich_utils")
    del sys.modules["rich.markdown"]


class _Markdown:
    def __new__(cls, *args: Any, **options: Any) -> Any:
        return import_module("rich.markdown").Markdown(*args, **options)


def _import_losses_without_scipy() -> None:
    utils: Any = import_module("transformers.utils")
    is_there = utils.is_scipy_available
    utils.is_scipy_available = lambda: False
    try:
        import_module("transformers.loss.loss_utils")
    finally:
        utils.is_scipy_available = is_there


def _defer(package: str) -> None:
    """Put `package` into sys.modules without running its `__init__`. Does nothing if it is there already."""
    spec = None if package in sys.modules else find_spec(package)
    if spec is None:
        return
    module = module_from_spec(spec)
    vars(module)["__getattr__"] = _running_init(spec, module)  # PEP 562
    sys.modules[package] = module


def _running_init(spec: ModuleSpec, module: ModuleType) -> Callable[[str], object]:
    """Runs the `__init__` of `module` the first time that it is asked for a name that it has not."""

    def get(name: str) -> object:
        if name.startswith("__") and name != "__version__":  # what Python and debuggers ask of every module
            raise AttributeError(f"module {spec.name!r} has no attribute {name!r}")
        being_imported = sys.modules.get(f"{spec.name}.{name}")
        if being_imported is not None:  # a module in the package becomes its attribute at the end
            return being_imported
        vars(module).pop("__getattr__", None)
        assert spec.loader is not None  # noqa: S101  a package that is found has one
        spec.loader.exec_module(module)
        return getattr(sys.modules[spec.name], name)  # which may have put another in its place

    return get
