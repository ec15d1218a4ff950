"""An audit hook (PEP 578) that lets a scorer's process compile expressions, but no programs.

Any text that reaches `eval`, `exec` or `compile` during scoring is the answer or is derived from it. It may
be a literal or arithmetic. What sympy's parser makes from a formula may also name symbols and call a few
functions by their bare names. So evaluated text calls none of the interpreter's functions, reads none of the
scorer's variables, and cannot report a score in the scorer's name. Code from files is imported as usual. The
parts of the standard library that build functions from templates (named tuples, data classes) still work.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import sys
import typing
from types import FrameType

from swarmd.tasks.expressions import is_arithmetic, is_literal, parse

SOURCE_CHARS_MAX = 65_536  # sympy turns one character into about ten; a formula has 512
_SYMPY_PARSER = "sympy.parsing.sympy_parser"
_SYMPY_PROLOGUE = "from sympy import *"  # the parser executes this to fill the namespace it evaluates in
_SYMPY_CALLS = frozenset({
    "Integer", "Float", "Rational", "Symbol", "Integral", "sqrt", "exp", "log", "ln", "Abs", "sin", "cos",
    "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh",
})  # fmt: skip
# They compile templates filled with identifiers. `ast` compiles to a tree, which it does not run.
_TEMPLATES = {m.__file__ for m in (ast, collections, dataclasses, typing)} - {None}
_IMPORT_SYSTEM = (
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    "<frozen zipimport>",
)


class ProgramRefusedError(PermissionError):
    """Text that is more than an expression was about to be run."""


def refuse_programs() -> None:
    """Compile no text in this process from now on, except harmless expressions. Irreversible.

    Raises RuntimeError if an earlier hook blocks this one.
    """
    checking = False

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal checking
        if event not in ("compile", "marshal.loads") or checking:
            return
        caller = sys._getframe(1)  # the caller determines where the text comes from
        if caller.f_code.co_filename in _TEMPLATES or _is_importing(caller):
            return
        if event == "marshal.loads":
            raise ProgramRefusedError("the sandbox loads no code except modules")
        checking = True
        try:
            _check(args[0], caller)
        finally:
            checking = False

    sys.addaudithook(hook)
    try:
        compile("refuse_programs()", "<trial>", "eval")
    except ProgramRefusedError:
        return
    raise RuntimeError("another audit hook blocked this one")  # Python does not report this


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported from a readable file, so that the text is the module's own."""
    while frame is not None:
        if frame.f_code.co_filename in _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False


def _check(source: object, caller: FrameType) -> None:
    by_sympy = caller.f_globals.get("__name__") == _SYMPY_PARSER
    if isinstance(source, bytes | str):
        text = source.decode(errors="replace") if isinstance(source, bytes) else source
        if by_sympy and text == _SYMPY_PROLOGUE:
            return
        tree = parse(text) if len(text) <= SOURCE_CHARS_MAX else None
        if tree is None:
            raise SyntaxError("the sandbox evaluates only a single expression")
    elif isinstance(source, ast.Expression):
        tree = source.body
    else:
        raise ProgramRefusedError("the sandbox evaluates only expressions")
    if is_literal(tree) or is_arithmetic(tree, calls=_SYMPY_CALLS if by_sympy else (), names=by_sympy):
        return
    raise ProgramRefusedError("the sandbox evaluates only literals and arithmetic")
