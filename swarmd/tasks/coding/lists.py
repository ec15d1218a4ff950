"""Problem families about lists of whole numbers."""

from __future__ import annotations

from itertools import groupby

from swarmd.tasks.chance import Chance
from swarmd.tasks.coding.problem import Problem, numbers, of

_ITEMS = numbers(1, 7, -9, 20)
_FEW_KINDS = numbers(1, 8, 0, 4)


def ends(chance: Chance, level: int) -> Problem:
    """Items selected by position."""
    k, c = chance.between(2, 3), chance.between(1, 9)
    if level == 1:
        return Problem(
            f"the first item of the list x plus the last one, plus {c}",
            of(_ITEMS),
            lambda x: x[0] + x[-1] + c,
            f"x[0] + x[-1] + {c}",
            ("x",),
        )
    if level == 2:
        return Problem(
            f"a list of each item of x that stands at an index divisible by {k}, plus {c}",
            of(_ITEMS),
            lambda x: [item + c for at, item in enumerate(x) if at % k == 0],
            f"[item + {c} for item in x[::{k}]]",
            ("x",),
        )
    return Problem(
        f"the list x turned to the left by {k} places, then each item plus its index, times {c}",
        of(_ITEMS),
        lambda x: [(x[(at + k) % len(x)] + at) * c for at in range(len(x))],
        f"turned = x[{k} % len(x):] + x[:{k} % len(x)]\n"
        f"return [(item + i) * {c} for i, item in enumerate(turned)]",
        ("x",),
    )


def choosing(chance: Chance, level: int) -> Problem:
    """Items selected by value."""
    k, c = chance.between(2, 4), chance.between(0, 9)
    if level == 1:
        return Problem(
            f"a list of the items of x that are above {c}, in order",
            of(_ITEMS),
            lambda x: list(filter(lambda item: item > c, x)),
            f"[item for item in x if item > {c}]",
            ("x",),
        )
    if level == 2:
        return Problem(
            f"the sum of the items of x that are divisible by {k} and not {c}",
            of(_ITEMS),
            lambda x: sum(item * (item % k == 0 and item != c) for item in x),
            f"sum(item for item in x if item % {k} == 0 and item != {c})",
            ("x",),
        )
    return Problem(
        f"the largest sum of items of x that stand side by side, at least one of them, minus {c}",
        of(_ITEMS),
        lambda x: max(sum(x[a:b]) for a in range(len(x)) for b in range(a + 1, len(x) + 1)) - c,
        "best = here = x[0]\nfor item in x[1:]:\n    here = max(item, here + item)\n"
        f"    best = max(best, here)\nreturn best - {c}",
        ("x",),
    )


def sorting(chance: Chance, level: int) -> Problem:
    """Sorting."""
    k, c = chance.between(3, 7), chance.between(1, 9)
    if level == 1:
        return Problem(
            f"the items of x by size, the largest first, with {c} behind them",
            of(_ITEMS),
            lambda x: [*sorted(x, key=lambda item: -item), c],
            f"sorted(x, reverse=True) + [{c}]",
            ("x",),
        )
    if level == 2:
        return Problem(
            f"the difference between the largest and the smallest item of x, times {c}",
            of(_ITEMS),
            lambda x: (sorted(x)[-1] - sorted(x)[0]) * c,
            f"(max(x) - min(x)) * {c}",
            ("x",),
        )
    return Problem(
        f"the items of x by their remainder after division by {k}, the smallest remainder first, equal ones "
        "by size",
        of(_ITEMS),
        lambda x: sorted(sorted(x), key=lambda item: item % k),
        f"sorted(x, key=lambda item: (item % {k}, item))",
        ("x",),
    )


def distinct(chance: Chance, level: int) -> Problem:
    """Repeated items."""
    k, c = chance.between(2, 3), chance.between(1, 9)
    if level == 1:
        return Problem(
            f"how many different items x has, times {c}",
            of(_FEW_KINDS),
            lambda x: sum(item not in x[:at] for at, item in enumerate(x)) * c,
            f"len(set(x)) * {c}",
            ("x",),
        )
    if level == 2:
        return Problem(
            f"a list of the different items that are in x at least {k} times, the smallest first",
            of(_FEW_KINDS),
            lambda x: [item for item in range(5) if x.count(item) >= k],
            f"sorted(item for item in set(x) if x.count(item) >= {k})",
            ("x",),
        )
    return Problem(
        "a list of the runs of equal items in x, in order, each as a list of two: the item, and the length "
        f"of the run plus {c}",
        of(_FEW_KINDS),
        lambda x: [[item, len(list(run)) + c] for item, run in groupby(x)],
        f"runs = []\nfor item in x:\n    if runs and runs[-1][0] == item:\n        runs[-1][1] += 1\n"
        f"    else:\n        runs.append([item, 1 + {c}])\nreturn runs",
        ("x",),
    )
