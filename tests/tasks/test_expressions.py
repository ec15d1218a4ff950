"""Which expressions are harmless: decided from the text, and true of what Python makes from it."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks import expressions
from swarmd.tasks.expressions import BITS_MAX, has_long_number, is_arithmetic, is_literal, parse

HARMLESS = (
    ast.Constant, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.List, ast.Tuple, ast.Set, ast.Dict,
    ast.expr_context,
)  # fmt: skip
ALPHABET = "0123456789+-*/%()[]{},:. eE_ax'\"<>=!@~^&|\\\n#jn"


def tree_of(text: str) -> ast.expr:
    tree = parse(text)
    assert tree is not None, text
    return tree


@pytest.mark.parametrize(
    "text",
    ["1", "-1.5", "'a'", "[1, 'b', (2,)]", "{'a': [1]}", "{1, 2}", "True", "None", "[true, null]", "1j"],
)
def test_literals(text: str) -> None:
    assert is_literal(tree_of(text))


@pytest.mark.parametrize(
    "text",
    ["x", "f()", "[x]", "{**x}", "[*x]", "a.b", "'a' 'b' % 1", "f'{x}'", "lambda: 1", "[x for x in y]",
    "-'a'",
     "[[[[[1]]]]]", "1 if x else 2", "1 < 2", "x[0]", "...", "1 + 1"],
)  # fmt: skip
def test_no_literals(text: str) -> None:
    assert not is_literal(tree_of(text))


@pytest.mark.parametrize(
    "text", ["1 + 2*3", "(4 - 1)**2", "-2/3", "~5 & 3", "1 << 9", "2**1000", "0x1e12345 + 1"]
)
def test_arithmetic(text: str) -> None:
    assert is_arithmetic(tree_of(text))


@pytest.mark.parametrize(
    "text",
    ["x", "f(1)", "'a' * 9", "[0] * 9", "9**9**9", "(2**1000)**1000", "1 << 9**9", "'%d' % 1", "(1)(2)",
    "a.b",
     "1 and 2", "2**2**2**2**2", "1e300**99", "(lambda: 1)", "1e999"],
)  # fmt: skip
def test_no_arithmetic(text: str) -> None:
    assert not is_arithmetic(tree_of(text))


def test_formulas_name_symbols_and_call_what_is_listed_by_bare_names_only() -> None:
    def fits(text: str) -> bool:
        return is_arithmetic(tree_of(text), calls={"sin", "Symbol"}, names=True)

    assert fits("3*x**2 + sin(x)/2")
    assert fits("Symbol('x') + C")
    for text in (
        "eval(x)",
        "x.y",
        "sin.f(x)",
        "sin(x)(y)",
        "x[0]",
        "_x",
        "__import__",
        "sin(x, key=1)",
        "sin(*x)",
    ):
        assert not fits(text), text


@pytest.mark.parametrize(
    "text",
    ["1" * 1_001, "1_" * 600, "1e10000", "1E-99999", "٣" * 1_001, "x = 1.5e+12345", "[1e99999]", "1_e99999"],
)
def test_long_numbers(text: str) -> None:
    assert has_long_number(text)
    assert parse(text) is None


@pytest.mark.parametrize(
    "text", ["1" * 1_000, "1e9999", "0x1e12345", "abc1e99999", "1.5e-300", "e99999", "1 2 3" * 900]
)
def test_numbers_that_are_not_long(text: str) -> None:
    assert not has_long_number(text)


def test_text_of_a_peer_is_searched_for_long_numbers_in_linear_time() -> None:
    """No run of digits is given back once it is read: giving back would take quadratic time in its length."""
    pattern = expressions._LONG_NUMBER.pattern
    assert pattern.count(r"[\d_]*+") == 3
    assert not re.search(r"\[\\d_\][*+](?!\+)", pattern)
    for run in ("1" * 1_000, "1" * 500 + "." + "1" * 499, "." + "1_" * 499, "1e" + "_" * 990, "1_" * 499):
        assert not has_long_number(f"{run} " * 100)


@given(st.text("01_.eE+-x ", max_size=40))
def test_linear_search_finds_what_a_plain_one_finds(text: str) -> None:
    plain = re.compile(expressions._LONG_NUMBER.pattern.replace("*+", "*"))
    assert has_long_number(text) == (plain.search(text) is not None)


def test_deep_text_is_not_parsed() -> None:
    for text in (
        "(" * 65 + "1" + ")" * 65,
        "-" * 33 + "1",
        "[" * 9_000,
        "not " * 9_000 + "1",
        "\0",
        "1 +",
        "",
    ):
        assert parse(text) is None or not is_arithmetic(tree_of(text))


@given(st.text(ALPHABET, max_size=40))
def test_whatever_fits_is_made_of_harmless_parts_and_stays_small(text: str) -> None:
    tree = parse(text)
    if tree is None or not (is_literal(tree) or is_arithmetic(tree)):
        return
    for node in ast.walk(tree):
        assert isinstance(node, HARMLESS) or (
            isinstance(node, ast.Name) and node.id in ("true", "false", "null")
        )
    if is_arithmetic(tree):
        try:
            value = eval(compile(ast.Expression(tree), "<fits>", "eval"))  # noqa: S307  what the test is about
        except (ArithmeticError, TypeError, ValueError, MemoryError):
            return
        if isinstance(value, int):
            assert value.bit_length() <= 2 * BITS_MAX
