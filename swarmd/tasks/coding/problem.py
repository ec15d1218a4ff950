"""A coding problem: what the function should return, how to test it, and a reference solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarmd.tasks.chance import Chance

Arguments = tuple[Any, ...]
"""Whole numbers, strings and lists of them: their `repr` is the same in every version of Python."""


@dataclass(frozen=True)
class Problem:
    """One problem."""

    wants: str
    """Completes the sentence "a Python function solve(...) that returns "."""
    draw: Callable[[Chance], Arguments]
    """Draws arguments to test it with."""
    value: Callable[..., Any]
    """Computes the right value. Written independently of the solution; tests compare the two."""
    solution: str
    """A single expression, or the lines of a function's body."""
    parameters: tuple[str, ...]

    @property
    def is_expression(self) -> bool:
        """Whether the solution is a single expression."""
        return "\n" not in self.solution

    @property
    def function(self) -> str:
        """The solution as the requested function."""
        lines = [f"return {self.solution}"] if self.is_expression else self.solution.split("\n")
        return "\n".join([f"def solve({', '.join(self.parameters)}):", *(f"    {line}" for line in lines)])


Family = Callable[[Chance, int], Problem]
"""(chance, level) -> a problem; level 1 is the easiest of `LEVELS`."""

LEVELS = (1, 2, 3)


def number(low: int, high: int) -> Callable[[Chance], int]:
    """Return a function that draws a whole number in low..high."""
    return lambda chance: chance.between(low, high)


def numbers(least: int, most: int, low: int, high: int) -> Callable[[Chance], list[int]]:
    """Return a function that draws a list of `least` to `most` whole numbers in low..high."""
    return lambda chance: [chance.between(low, high) for _ in range(chance.between(least, most))]


def text(least: int, most: int, letters: str) -> Callable[[Chance], str]:
    """Return a function that draws a text of `least` to `most` of these letters."""
    return lambda chance: "".join(chance.pick(letters) for _ in range(chance.between(least, most)))


def of(*parts: Callable[[Chance], Any]) -> Callable[[Chance], Arguments]:
    """Return a function that draws one argument with each of `parts`."""
    return lambda chance: tuple(part(chance) for part in parts)
