"""What an answer must look like before a scorer sees it.

The answer is parsed, never evaluated. An answer of the wrong form scores 0.

Some scorers of reasoning-gym evaluate the answer as Python. Others pass it to sympy's parser, which also
evaluates it. Some convert numbers of any size. `FORMS` describes, for each of these scorers, what a right
answer can look like. All other scorers compare text. The list comes from reading reasoning-gym 0.1.25 and
from recording what each dataset compiles while it scores; `tests/tasks/test_answers.py` repeats the
recording.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from swarmd.tasks.expressions import has_long_number, is_arithmetic, is_literal, parse

Form = Callable[[str], bool]

LITERAL_CHARS_MAX = 16_384  # a completion is at most this many bytes
FORMULA_CHARS_MAX = 512  # the longest right answer of a dataset that is evaluated as a formula has 113
LOGIC_CHARS_MAX = 512  # a right conclusion has tens; the scorer's parser is recursive and quadratic
LOGIC_SIGNS_MAX = 64
MOVES_CHARS_MAX = 1_024  # a scramble has at most 100 moves, and its solution about as many
PLAIN_CHARS_MAX = 16_384
_CALCULUS = frozenset({
    "Integral", "sqrt", "exp", "log", "ln", "Abs", "sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos",
    "atan", "sinh", "cosh", "tanh",
})  # fmt: skip
_NOT_FINITE = re.compile(r"nan|inf", re.IGNORECASE)
# No bracket, quote, underscore, equals sign, or dot after a letter: such text calls nothing even if
# evaluated.
_WORDS_AND_NUMBERS = re.compile(r"(?:[^\W_]|[ ,:/+\n°×→%-]|(?<![^\W\d_])\.|\.(?![^\W\d_]))*")


def is_bounded(answer: str) -> bool:
    """The form for any scorer not listed in `FORMS`: no number that takes seconds or longer to convert."""
    return not has_long_number(answer)


def is_plain_literal(answer: str) -> bool:
    """Whether `answer` is words and numbers, or a literal: safe even for a scorer without a kernel filter."""
    if has_long_number(answer) or len(answer) > PLAIN_CHARS_MAX:
        return False
    if _WORDS_AND_NUMBERS.fullmatch(answer):
        return True
    tree = parse(answer)
    return tree is not None and is_literal(tree)


def _text_or_literal(pattern: str) -> Form:
    """Accept text that matches `pattern`, which allows at most a number or a name, or a list of its parts."""
    text = re.compile(pattern)

    def fits(answer: str) -> bool:
        if text.fullmatch(answer):
            return not has_long_number(answer)
        tree = parse(answer) if len(answer) <= LITERAL_CHARS_MAX else None
        return tree is not None and is_literal(tree, depth=2)

    return fits


def _formula(characters: str, *, calls: frozenset[str] = frozenset(), names: bool = False) -> Form:
    text = re.compile(rf"[{characters}]{{1,{FORMULA_CHARS_MAX}}}")

    def fits(answer: str) -> bool:
        tree = parse(answer) if text.fullmatch(answer) else None
        return tree is not None and is_arithmetic(tree, calls=calls, names=names)

    return fits


def _finite_numbers(answer: str) -> bool:
    """Reject NaN and infinity: NaN passes comparisons meant to fail in complex_arithmetic and
    number_sorting."""
    without_commas = answer.replace(",", "")  # as coin_flip and others read it
    long = has_long_number(answer) or has_long_number(without_commas)
    return not long and _NOT_FINITE.search(without_commas) is None


def _statement(answer: str) -> bool:
    signs = sum(not character.isalnum() and character != " " for character in answer)
    return len(answer) <= LOGIC_CHARS_MAX and signs <= LOGIC_SIGNS_MAX


def _moves(answer: str) -> bool:
    """Reject repeat counts above 9: no puzzle needs ten quarter turns or a move of ten cells."""
    return len(answer) <= MOVES_CHARS_MAX and re.search(r"\d\d", answer) is None


_GRID = r"[0-9 \n]*"  # one number, or, because of the spaces, no expression at all: it calls nothing
_SUM = r"0-9 ()+*/\n\-"

FORMS: dict[str, Form] = {
    # Python's eval sees the answer.
    "binary_matrix": _text_or_literal(_GRID),
    "spiral_matrix": _text_or_literal(_GRID),
    "n_queens": _text_or_literal(r"[_Q \n]*"),
    "string_insertion": _text_or_literal(r"[A-E]*"),
    # sympy's parser sees the answer, and evaluates it too.
    "countdown": _formula(_SUM),
    "puzzle24": _formula(_SUM),
    "polynomial_multiplication": _formula(_SUM + "A-Za-z", names=True),
    "simple_integration": _formula(_SUM + "A-Za-z.,", calls=_CALCULUS, names=True),
    "intermediate_integration": _formula(_SUM + "A-Za-z.,", calls=_CALCULUS, names=True),
    # The scorer converts the answer to numbers.
    **dict.fromkeys(
        (
            "advanced_geometry", "chain_sum", "coin_flip", "complex_arithmetic", "decimal_arithmetic",
            "decimal_chain_sum", "number_format", "number_sorting", "polynomial_equations", "pool_matrix",
            "power_function", "products",
        ),
        _finite_numbers,
    ),
    # The scorer's own parser sees the answer, and handles long texts badly.
    "propositional_logic": _statement,
    "rubiks_cube": _moves,
    "rush_hour": _moves,
}  # fmt: skip
"""The form of answers, by dataset of reasoning-gym. `is_bounded` is enough for all other datasets."""
