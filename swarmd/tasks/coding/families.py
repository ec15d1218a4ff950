"""All problem families by name: the datasets of the source `coding`."""

from __future__ import annotations

from swarmd.tasks.coding import lists, numbers, texts
from swarmd.tasks.coding.problem import Family

FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        numbers.linear,
        numbers.remainder,
        numbers.larger,
        numbers.branch,
        numbers.digits,
        numbers.series,
        texts.reversing,
        texts.letters,
        texts.words,
        lists.ends,
        lists.choosing,
        lists.sorting,
        lists.distinct,
    )
}
