"""Problem families about whole numbers."""

from __future__ import annotations

from swarmd.tasks.chance import Chance
from swarmd.tasks.coding.problem import Problem, number, of

_SMALL = number(-20, 20)
_POSITIVE = number(1, 60)


def linear(chance: Chance, level: int) -> Problem:
    """Sums of multiples."""
    k, m, c = chance.between(2, 9), chance.between(2, 9), chance.between(1, 20)
    if level == 1:
        return Problem(
            f"a plus b plus {c}", of(_SMALL, _SMALL), lambda a, b: a + b + c, f"a + b + {c}", ("a", "b")
        )
    if level == 2:
        return Problem(
            f"{k} times a minus {m} times b",
            of(_SMALL, _SMALL),
            lambda a, b: k * a - m * b,
            f"{k} * a - {m} * b",
            ("a", "b"),
        )
    return Problem(
        f"the square of a, plus {k} times b, minus {c}",
        of(_SMALL, _SMALL),
        lambda a, b: a**2 + k * b - c,
        f"a * a + {k} * b - {c}",
        ("a", "b"),
    )


def remainder(chance: Chance, level: int) -> Problem:
    """Division with remainder."""
    k = chance.between(3, 12)
    m = k + chance.between(1, 9)
    if level == 1:
        return Problem(
            f"the remainder of n divided by {k}", of(_POSITIVE), lambda n: n % k, f"n % {k}", ("n",)
        )
    if level == 2:
        return Problem(
            f"how often {k} goes into n, plus the remainder",
            of(_POSITIVE),
            lambda n: sum(divmod(n, k)),
            f"n // {k} + n % {k}",
            ("n",),
        )
    return Problem(
        f"how many whole numbers from 1 to n are divisible by {k} or by {m}",
        of(number(1, 90)),
        lambda n: len([i for i in range(1, n + 1) if i % k == 0 or i % m == 0]),
        f"sum(1 for i in range(1, n + 1) if i % {k} == 0 or i % {m} == 0)",
        ("n",),
    )


def larger(chance: Chance, level: int) -> Problem:
    """Comparing and clamping."""
    c = chance.between(1, 15)
    if level == 1:
        return Problem(
            f"the larger of a and b, plus {c}",
            of(_SMALL, _SMALL),
            lambda a, b: (a if a > b else b) + c,
            f"max(a, b) + {c}",
            ("a", "b"),
        )
    if level == 2:
        return Problem(
            f"n, but {-c} if n is below {-c}, and {c} if n is above {c}",
            of(number(-40, 40)),
            lambda n: min(max(n, -c), c),
            f"if n < {-c}:\n    return {-c}\nif n > {c}:\n    return {c}\nreturn n",
            ("n",),
        )
    return Problem(
        f"the middle one of a, b and c by size, times {c}",
        of(_SMALL, _SMALL, _SMALL),
        lambda a, b, d: sorted((a, b, d))[1] * c,
        f"(a + b + c - max(a, b, c) - min(a, b, c)) * {c}",
        ("a", "b", "c"),
    )


def branch(chance: Chance, level: int) -> Problem:
    """Conditionals: different rules for different numbers."""
    k, m, c = chance.between(2, 9), chance.between(2, 9), chance.between(1, 20)
    if level == 1:
        return Problem(
            f"n plus {c} if n is even, and n minus {k} if n is odd",
            of(_SMALL),
            lambda n: n - k if n % 2 else n + c,
            f"if n % 2 == 0:\n    return n + {c}\nreturn n - {k}",
            ("n",),
        )
    if level == 2:
        return Problem(
            f"{k} times n if n is above {c}, 0 if n is {c}, and n minus {m} if n is below {c}",
            of(number(-5, 25)),
            lambda n: 0 if n == c else k * n if n > c else n - m,
            f"if n > {c}:\n    return {k} * n\nif n == {c}:\n    return 0\nreturn n - {m}",
            ("n",),
        )
    return Problem(
        "the number of steps until n is 1, where a step halves an even n and turns an odd n into 3 n plus 1, "
        f"but {c + 100} if more than {c + 100} steps would be needed",
        of(number(1, 200)),
        lambda n: _collatz(n, c + 100),
        f"steps = 0\nwhile n != 1 and steps < {c + 100}:\n    n = n // 2 if n % 2 == 0 else 3 * n + 1\n"
        "    steps += 1\nreturn steps",
        ("n",),
    )


def _collatz(n: int, most: int) -> int:
    return 0 if n == 1 or most == 0 else 1 + _collatz(3 * n + 1 if n % 2 else n // 2, most - 1)


def digits(chance: Chance, level: int) -> Problem:
    """The decimal digits of a number."""
    d, c = chance.between(1, 9), chance.between(1, 9)
    long = number(10, 99_999)
    if level == 1:
        return Problem(
            f"the last digit of n, plus {c}", of(long), lambda n: n % 10 + c, f"n % 10 + {c}", ("n",)
        )
    if level == 2:
        return Problem(
            f"the sum of the digits of n, times {c}",
            of(long),
            lambda n: sum(ord(digit) - ord("0") for digit in str(n)) * c,
            f"sum(int(digit) for digit in str(n)) * {c}",
            ("n",),
        )
    return Problem(
        f"the number that has the digits of n in reverse, without the digit {d}; 0 if no digit is left",
        of(long),
        lambda n: int("0" + str(n)[::-1].replace(str(d), "")),
        f"kept = [digit for digit in str(n) if digit != '{d}']\nreturn int('0' + ''.join(kept[::-1]))",
        ("n",),
    )


def series(chance: Chance, level: int) -> Problem:
    """Loops that accumulate a value."""
    k, m = chance.between(2, 5), chance.between(1, 9)
    if level == 1:
        return Problem(
            f"the sum of the whole numbers from {m} to n, or 0 if n is below {m}",
            of(number(1, 40)),
            lambda n: (n - m + 1) * (n + m) // 2 if n >= m else 0,
            f"sum(range({m}, n + 1))",
            ("n",),
        )
    if level == 2:
        return Problem(
            f"the sum of the multiples of {k} that are at least {k} and below n",
            of(number(1, 60)),
            lambda n: k * ((n - 1) // k) * ((n - 1) // k + 1) // 2,
            f"sum(range({k}, n, {k}))",
            ("n",),
        )
    return Problem(
        f"the value after n rounds that begin with {m}, where each round multiplies by {k} and adds the "
        "number of the round, counted from 1",
        of(number(0, 12)),
        lambda n: _rounds(n, k, m),
        f"value = {m}\nfor i in range(1, n + 1):\n    value = value * {k} + i\nreturn value",
        ("n",),
    )


def _rounds(n: int, k: int, m: int) -> int:
    return m if n == 0 else _rounds(n - 1, k, m) * k + n
