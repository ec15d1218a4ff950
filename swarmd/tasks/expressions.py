"""Decides which expressions are safe to evaluate, from their syntax tree alone. Evaluates nothing.

This is an allow list. A literal holds numbers, text, True, False, None and lists, tuples, sets and
dictionaries of them. Arithmetic adds operators on numbers, names, and calls of the functions that the caller
lists. Neither can reach an attribute, an item or any other function, and no value grows beyond `BITS_MAX`.
Syntax added in a later version of Python is refused.
"""

from __future__ import annotations

import ast
import cmath
import math
import re
from collections.abc import Collection

DEPTH_MAX = 64  # nested brackets; the parsers of CPython and sympy are recursive
SIGNS_MAX = 32  # prefix operators in a row; the parsers recurse on these too
BITS_MAX = 4_096  # of any intermediate number: 1,233 digits; answers have tens
EXPONENT_BITS_MAX = 10  # so an exponent stays below 1,024
# nodes of the tree; the largest right matrix that fits into a record's completion has fewer
NODES_MAX = 4_096
_SEQUENCES = (ast.List, ast.Tuple, ast.Set, ast.Dict)
_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.LShift, ast.RShift, ast.BitOr, ast.BitXor, ast.BitAnd,
)  # fmt: skip
_PREFIXES = re.compile(rf"(?:[-+~]\s*){{{SIGNS_MAX + 1}}}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")  # no underscore, so none of Python's internals
_DIGITS_MAX = 1_000  # per number; int() takes 4,300, Decimal any number, and both are quadratic
_EXPONENT_DIGITS_MAX = 4  # Fraction("1e9999") takes microseconds; each further digit takes ten times as long
_LONG_NUMBER = re.compile(
    rf"(?<!\d)\d[\d_]{{{_DIGITS_MAX}}}"
    rf"|(?<![\w.])(?:\d[\d_]*+\.?[\d_]*+|\.\d[\d_]*+)[eE][+-]?(?:_*\d){{{_EXPONENT_DIGITS_MAX + 1}}}"
)  # The second pattern does not match inside a word: 0x1e12345 has no exponent. It never backtracks in
# digits: peers' text is searched for numbers without a time limit.
_JSON_NAMES = ("true", "false", "null")
_TOO_LARGE = math.inf


def has_long_number(text: str) -> bool:
    """Whether a number in `text`, in digits of any script, is too long or has too large an exponent.

    Converting such a number to int, Decimal, Fraction or sympy's Float can take seconds or never end.
    """
    return _LONG_NUMBER.search(text) is not None


def parse(text: str) -> ast.expr | None:
    """The tree of one expression. None if `text` is not one, is nested too deeply or has a long number."""
    if has_long_number(text) or _depth(text) > DEPTH_MAX or _PREFIXES.search(text):
        return None
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # null bytes, long integers, deep nesting
        return None


def is_literal(tree: ast.AST, depth: int = 4) -> bool:
    """Whether `tree` is a literal with at most `depth` levels of nested containers."""
    pending: list[tuple[ast.AST, int]] = [(tree, depth)]
    seen = 0
    while pending:
        node, left = pending.pop()
        seen += 1
        if seen > NODES_MAX:
            return False
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            node = node.operand
            if not (isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex)):
                return False
        if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
            continue
        if isinstance(node, ast.Constant):
            if _constant_bits(node.value) > BITS_MAX:
                return False
        elif isinstance(node, _SEQUENCES) and left > 0:
            parts = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
            if None in parts:  # {**other}
                return False
            pending += [(part, left - 1) for part in parts if part is not None]
        else:
            return False
    return True


def is_arithmetic(tree: ast.AST, *, calls: Collection[str] = (), names: bool = False) -> bool:
    """Whether `tree` only computes with numbers, operators, the functions in `calls` and, if `names`,
    names."""
    if sum(1 for _ in ast.walk(tree)) > NODES_MAX:
        return False
    try:
        return _bits(tree, calls, names) <= BITS_MAX
    except RecursionError:
        return False


def _bits(node: ast.AST, calls: Collection[str], names: bool) -> float:
    """An upper bound, in bits, of the value of `node`; infinite if `node` is not allowed."""
    match node:
        case ast.Constant(value=bool() | int() | float() | complex() as value):
            return _constant_bits(value)
        case ast.Name(id=name) if names and _NAME.fullmatch(name):
            return 1
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
            return _bits(operand, calls, names)
        case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _OPERATORS):
            return _operation_bits(operator, _bits(left, calls, names), _bits(right, calls, names))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in calls:
            return 1 + sum(_argument_bits(argument, calls, names) for argument in arguments)
        case _:
            return _TOO_LARGE


def _operation_bits(operator: ast.operator, left: float, right: float) -> float:
    """Bits of the result. Numerators and denominators of fractions add up, so + and - count like *."""
    if isinstance(operator, ast.Pow):
        return left * 2**right if right <= EXPONENT_BITS_MAX else _TOO_LARGE
    if isinstance(operator, ast.LShift):
        return left + 2**right if right <= EXPONENT_BITS_MAX else _TOO_LARGE
    return left + right


def _argument_bits(node: ast.AST, calls: Collection[str], names: bool) -> float:
    """Bits of a call's argument: sympy writes Symbol('x') and Float('0.5'), and Integral takes (x, 0, 1)."""
    match node:
        case ast.Constant(value=str(text)):
            return len(text)
        case ast.Tuple(elts=parts):
            return sum(_bits(part, calls, names) for part in parts)
        case _:
            return _bits(node, calls, names)


def _constant_bits(value: object) -> float:
    if isinstance(value, bool | str | bytes | None):
        return 1
    if isinstance(value, int):
        return max(1, value.bit_length())
    return 1_024 if isinstance(value, float | complex) and cmath.isfinite(value) else _TOO_LARGE


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
