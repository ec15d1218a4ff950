"""What others' packages import for themselves and swarmd never uses, left out until somebody asks for it.

- `hivemind` and `transformers.models` import or read all that is in them before the first of their modules.
  Their own `__init__` runs when a name is asked for that no imported module of theirs has given.
- transformers imports torch's compiler, `torch._dynamo`, to mark what it should leave alone. Nothing here is
  compiled, so its functions stay unmarked.
- typer imports rich's Markdown, a fifth of `swarmd --help`, for help written in Markdown. Ours is not.
- transformers imports scipy for the losses of object detection, and accelerate to spread a model over several
  devices. It looks whether they are installed, and is told no during its import.
- transformers imports torch's distributed tensors, and sympy with them. No model of ours is distributed. It
  is told for good that PyTorch cannot do that, because its functions use what its modules did not import.

Tried with hivemind 1.1.12, typer 0.29, torch 2.13 and transformers 5.24. Any other torch or transformers is
imported as it wants to be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

TORCH, TRANSFORMERS = "2.13.", "5.24."
"""The releases in which what is left out was looked at."""
MODELLING = ("masking_utils", "modeling_utils", "modeling_layers", "generation.utils")
"""The modules of transformers that import what is left out."""
SCIPY, ACCELERATE = "is_scipy_available", "is_accelerate_available"
DISTRIBUTED = "is_torch_distributed_available"
"""What transformers asks itself before it imports scipy, accelerate or torch's distributed tensors."""
COMPILER = "torch._dynamo"


def spare_hivemind() -> None:
    """Leave out its trainers. Call this before the first import of a module of hivemind."""
    _defer("hivemind")


def spare_protocol() -> None:
    """Leave out our own `protocol/__init__.py`, and with it pydantic: a tenth of a task worker's start."""
    _defer("protocol")


def spare_transformers() -> None:
    """Leave out torch's compiler, scipy, accelerate, sympy and the list of all models. Call this before
    transformers' `PreTrainedModel` is imported."""
    import torch
    import transformers

    if not transformers.__version__.startswith(TRANSFORMERS):
        return
    _defer("transformers.models")
    tried = torch.__version__.startswith(TORCH)
    _say_no(DISTRIBUTED)
    with _without(SCIPY), _without(ACCELERATE), _without_compiler() if tried else nullcontext():
        for module in MODELLING:
            import_module(f"transformers.{module}")


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


UNCOMPILED: Mapping[str, Any] = {"allow_in_graph": _same, "assume_constant_result": _same, "disable": _same}


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Within the block, torch's compiler marks nothing. It is imported if asked for anything else."""
    spec = None if COMPILER in sys.modules else find_spec(COMPILER)
    if spec is None:
        yield
        return
    stand_in = module_from_spec(spec)
    vars(stand_in).update(UNCOMPILED, __getattr__=_from_compiler)
    sys.modules[COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(COMPILER) is stand_in:
            del sys.modules[COMPILER]


def _from_compiler(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {COMPILER!r} has no attribute {name!r}")
    sys.modules.pop(COMPILER, None)
    return getattr(import_module(COMPILER), name)


@contextmanager
def _without(question: str) -> Iterator[None]:
    """Within the block, transformers is told no when it asks itself `question`."""
    found = _say_no(question)
    try:
        yield
    finally:
        for module, function in found:
            setattr(module, question, function)


def _say_no(question: str) -> list[tuple[ModuleType, Any]]:
    """Answer `question` of transformers with no. Returns where it was asked, with what answered it before."""
    asked = [import_module("transformers.utils"), import_module("transformers.utils.import_utils")]
    found = [(module, getattr(module, question)) for module in asked]
    for module in asked:
        setattr(module, question, lambda *_: False)
    return found


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
