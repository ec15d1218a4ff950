"""Guess a number: after each try the policy is told whether the number is higher or lower."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from protocol.limits import TURNS_MAX

_NUMBER = re.compile(r"[0-9]{1,6}")

Answers = Sequence[str | None]


class Guessing:
    """A number from 1 to `largest`, to be found within `turns` tries.

    If 2 ** turns > largest, bisection always succeeds. The reward is 1 if the number is found, else 0.
    """

    OPTIONS: ClassVar = {"largest": (50, 2, 99_999), "turns": (6, 2, TURNS_MAX)}
    """option -> (default, smallest, largest)"""

    def __init__(self, largest: int = 50, turns: int = 6) -> None:
        self._largest = largest
        self.turns = turns

    def question(self, seed: int, index: int) -> tuple[str, int]:
        """The text, which is the same for every number, and the number."""
        number = Random(f"{seed},{index}").randint(1, self._largest)  # noqa: S311  a game, not a secret
        range_, tries = f"1 to {self._largest}", f"{self.turns} tries"
        return (
            f"I think of a whole number from {range_}. Guess it in {tries}. I say if it is higher or lower.",
            number,
        )

    def hidden(self, entry: int) -> str:
        """The number."""
        return str(entry)

    def reply(self, answers: Answers, entry: int) -> str | None:
        """The reply to the last guess; None if it is right."""
        guess = answers[-1]
        if guess is None:
            return f"Guess a whole number from 1 to {self._largest}."
        if int(guess) == entry:
            return None
        return "It is higher." if entry > int(guess) else "It is lower."

    def score(self, answers: Answers, entry: int) -> float:
        """1 if the last guess is right."""
        return float(answers[-1] is not None and int(answers[-1]) == entry)

    def admits(self, answer: str, entry: int) -> bool:  # noqa: ARG002
        """Whole numbers of up to six digits."""
        return _NUMBER.fullmatch(answer) is not None

    def is_bare(self, answers: Answers, entry: int) -> bool:  # noqa: ARG002
        """Whether each guess is written in its one shortest form."""
        return all(answer is None or answer == str(int(answer)) for answer in answers)

    def solution(self, entry: int) -> list[str]:
        """Bisect until the number is found or the tries are used up."""
        least, most, guesses = 1, self._largest, list[int]()
        while len(guesses) < self.turns and entry not in guesses[-1:]:
            guesses.append((least + most) // 2)
            if entry > guesses[-1]:
                least = guesses[-1] + 1
            else:
                most = guesses[-1] - 1
        return list(map(str, guesses))

    def expected(self, entry: int) -> str:
        """The number, to show to people."""
        return str(entry)
