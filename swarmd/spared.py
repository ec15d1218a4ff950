"""What others' packages import for themselves and swarmd never uses, left out until somebody asks for it.

- `hivemind` and `transformers.models` import or read all that is in them before the first of their modules.
  Their own `__init__` runs when a name is asked for that no imported module of theirs has given.
- `torch._dynamo` is torch's compiler. Optimisers and transformers ask it only to leave their functions alone,
  and nothing here is compiled. They are answered without it.
- typer imports rich's Markdown, a fifth of `swarmd --help`, for help written in Markdown. Ours is not.
- transformers imports scipy for the losses of object detection, and sympy with torch's distributed tensors. No
  model of ours has either. It looks whether they are installed, and is told no during its import.

Tried with hivemind 1.1.12, typer 0.29, torch 2.13 and transformers 5.24. Any other torch or transformers is
imported as it wants to be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

TORCH, TRANSFORMERS = "2.13.", "5.24."
"""The releases in which what is left out was looked at."""
HIDDEN = ("is_scipy_available", "is_torch_distributed_available")
"""What transformers asks itself before it imports something that is left out."""


def spare_hivemind() -> None:
    """Leave out its trainers. Call this before the first import of a module of hivemind."""
    _defer("hivemind")


def spare_protocol() -> None:
    """Leave out our own `protocol/__init__.py`, and with it pydantic: a tenth of a task worker's start."""
    _defer("protocol")


def spare_transformers() -> None:
    """Leave out torch's compiler, scipy, sympy and the list of all models. Call this before transformers'
    `PreTrainedModel` is imported."""
    import torch
    import transformers

    if torch.__version__.startswith(TORCH):
        _defer("torch._dynamo", UNCOMPILED)
    if not transformers.__version__.startswith(TRANSFORMERS):
        return
    _defer("transformers.models")
    with _hidden(import_module("transformers.utils"), import_module("transformers.utils.import_utils")):
        import_module("transformers.modeling_utils")


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


def _same(function: Any = None, *_: object, **__: object) -> Any:
    """A decorator that changes nothing, with or without arguments of its own."""
    return _same if function is None else function


UNCOMPILED: Mapping[str, Any] = {
    "allow_in_graph": _same,
    "assume_constant_result": _same,
    "disable": _same,
    "graph_break": lambda: None,
}
"""What torch's compiler is asked to do about functions that are not compiled: nothing."""


@contextmanager
def _hidden(*modules: ModuleType) -> Iterator[None]:
    """Whoever asks `modules` within the block is told that what HIDDEN asks for is not there."""
    found = [(module, name, getattr(module, name)) for module in modules for name in HIDDEN]
    for module, name, _ in found:
        setattr(module, name, lambda: False)
    try:
        yield
    finally:
        for module, name, function in found:
            setattr(module, name, function)


def _defer(package: str, meanwhile: Mapping[str, Any] | None = None) -> None:
    """Put `package` into sys.modules without running its `__init__`. Does nothing if it is there already.

    `meanwhile`: what is said to be in it without running that.
    """
    spec = None if package in sys.modules else find_spec(package)
    if spec is None:
        return
    module = module_from_spec(spec)
    vars(module)["__getattr__"] = _running_init(spec, module, meanwhile or {})  # PEP 562
    sys.modules[package] = module


def _running_init(spec: ModuleSpec, module: ModuleType, meanwhile: Mapping[str, Any]) -> Callable[[str], Any]:
    """Runs the `__init__` of `module` the first time that it is asked for a name that it has not."""

    def get(name: str) -> Any:
        if name in meanwhile:
            return meanwhile[name]
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
