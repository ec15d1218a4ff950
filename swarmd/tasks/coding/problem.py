"""A problem: what a function shall return, how to try it, and a function that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarmd.tasks.chance import Chance

Arguments = tuple[Any, ...]
"""Whole numbers, texts and lists of them: `repr` of them is the same in every version of Python."""


@dataclass(frozen=True)
class Problem:
    """What to ask for."""

    wants: str
    """The sentence's end after "a Python function solve(...) that returns "."""
    draw: Callable[[Chance], Arguments]
    """Arguments to try it with."""
    value: Callable[..., Any]
    """What is right, computed here. The solution is written apart from it, and tests compare the two."""
    solution: str
    """One expression that does it, or the lines of a function's body."""
    parameters: tuple[str, ...]

    @property
    def is_expression(self) -> bool:
        """Whether the solution is one expression."""
        return "\n" not in self.solution

    @property
    def function(self) -> str:
        """The solution as the function that was asked for."""
        lines = [f"return {self.solution}"] if self.is_expression else self.solution.split("\n")
        return "\n".join([f"def solve({', '.join(self.parameters)}):", *(f"    {line}" for line in lines)])


Family = Callable[[Chance, int], Problem]
"""(chance, level) -> a problem; level 1 is the easiest of `LEVELS`."""

LEVELS = (1, 2, 3)


def number(low: int, high: int) -> Callable[[Chance], int]:
    """Draws a whole number in low..high."""
    return lambda chance: chance.between(low, high)


def numbers(least: int, most: int, low: int, high: int) -> Callable[[Chance], list[int]]:
    """Draws a list of `least` to `most` whole numbers in low..high."""
    return lambda chance: [chance.between(low, high) for _ in range(chance.between(least, most))]


def text(least: int, most: int, letters: str) -> Callable[[Chance], str]:
    """Draws a text of `least` to `most` of these letters."""
    return lambda chance: "".join(chance.pick(letters) for _ in range(chance.between(least, most)))


def of(*parts: Callable[[Chance], Any]) -> Callable[[Chance], Arguments]:
    """Draws one argument by each of `parts`."""
    return lambda chance: tuple(part(chance) for part in parts)
