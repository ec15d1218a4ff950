"""The source `coding`: problems whose answers are Python programs, scored by running them.

A question shows one example. The answer is run on other inputs, which are derived from the task spec like the
question, so every receiver has them and no prompt shows them. The score is the fraction of outputs that are
right. `swarmd.tasks.nursery` confines the programs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from swarmd.quoting import quoted
from swarmd.tasks.chance import Chance
from swarmd.tasks.coding.families import FAMILIES
from swarmd.tasks.coding.problem import LEVELS, Arguments, Problem
from swarmd.tasks.nursery import CALLS_MAX
from swarmd.tasks.options import check_names, whole, word
from swarmd.tasks.source import BadOptionError, Outputs, Program, UnknownDatasetError
from swarmd.tasks.versions import CODING

CASES = 8
_CANDIDATES_PER_CASE = 4
ANSWER_CHARS_MAX = 4_096  # the longest solution here has 200; leave room for comments
FORMS = ("function", "expression")
_FENCE = re.compile(r"```[a-z]*\n(.*?)\n?```", re.DOTALL)


class Coding:
    """The built-in source `coding`."""

    version = CODING

    def datasets(self) -> Collection[str]:
        return list(FAMILIES)

    def build(self, dataset: str, config: Mapping[str, Any]) -> CodingTask:
        """Options: `level` (1 to 3), `form` ("function" or "expression") and `cases`.

        Raises UnknownDatasetError and BadOptionError.
        """
        if dataset not in FAMILIES:
            near = get_close_matches(dataset, FAMILIES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FAMILIES)}"
            raise UnknownDatasetError(f"coding has no dataset {quoted(dataset)}; {hint}")
        check_names(dataset, config, ("level", "form", "cases"))
        level = whole(dataset, config, "level", 1, LEVELS[0], LEVELS[-1])
        form = word(dataset, config, "form", "function", FORMS)
        cases = whole(dataset, config, "cases", CASES, 1, CALLS_MAX)
        if form == "expression" and not FAMILIES[dataset](Chance(0), level).is_expression:
            raise BadOptionError(f"{dataset}: level {level} needs more than one expression", "form")
        return CodingTask(dataset, level, form == "expression", cases)


@dataclass(frozen=True)
class Entry:
    """A question and the data needed to score its answers."""

    problem: Problem
    inputs: tuple[Arguments, ...]
    outputs: tuple[str, ...]
    """`ascii` of the right value for each of `inputs`."""


class CodingTask:
    """One family at one level."""

    def __init__(self, family: str, level: int, expression: bool, cases: int) -> None:
        self._family, self._level, self._expression, self._cases = family, level, expression, cases

    def question(self, seed: int, index: int) -> tuple[str, Entry]:
        chance = Chance(self._family, self._level, seed, index)
        problem = FAMILIES[self._family](chance, self._level)
        example, *candidates = [problem.draw(chance) for _ in range(1 + _CANDIDATES_PER_CASE * self._cases)]
        inputs = _unlike(problem, [each for each in candidates if each != example], self._cases)
        outputs = tuple(ascii(problem.value(*each)) for each in inputs)
        return self._text(problem, example), Entry(problem, inputs, outputs)

    def _text(self, problem: Problem, example: Arguments) -> str:
        shown, value = ", ".join(map(ascii, example)), ascii(problem.value(*example))
        names = ", ".join(problem.parameters)
        if self._expression:
            return (
                f"Write one Python expression of {names}, on one line, that is {problem.wants}.\n"
                f"For ({names}) = ({shown}) it is {value}. Answer with the expression alone."
            )
        return (
            f"Write a Python function solve({names}) that returns {problem.wants}.\n"
            f"For example, solve({shown}) returns {value}. Answer with the code alone."
        )

    def admits(self, answer: str, entry: Entry) -> bool:
        """Refuse to run what cannot be right: no function `solve`, or no line that reads a parameter."""
        if len(answer) > ANSWER_CHARS_MAX:
            return False
        if not self._expression:
            return "def solve(" in answer
        code = _without_fence(answer)
        return "\n" not in code and any(re.search(rf"\b{name}\b", code) for name in entry.problem.parameters)

    def program(self, answer: str, entry: Entry) -> Program:
        code = _without_fence(answer)
        if self._expression:
            code = f"solve = lambda {', '.join(entry.problem.parameters)}: ({code}\n)"
        return Program(code, tuple(f"solve({', '.join(map(ascii, each))})" for each in entry.inputs))

    def judge(self, outputs: Outputs, entry: Entry) -> float:
        right = sum(given == wanted for given, wanted in zip(outputs, entry.outputs, strict=True))
        return right / len(entry.outputs)

    def score(self, answer: str, entry: Entry) -> float:
        raise NotImplementedError("answers are programs: see `judge`")

    def is_bare(self, answer: str, entry: Entry) -> bool:
        """Whether `answer` is our own solution. Any other has names and an order that its writer chose."""
        return answer == self.expected(entry)

    def expected(self, entry: Entry) -> str:
        return entry.problem.solution if self._expression else entry.problem.function


def _unlike(problem: Problem, candidates: Sequence[Arguments], count: int) -> tuple[Arguments, ...]:
    """`count` of the candidates, with right values as varied as possible, so that no constant is right."""
    times: dict[str, int] = {}
    ranked: list[tuple[int, int, Arguments]] = []
    for arguments in candidates:
        value = ascii(problem.value(*arguments))
        times[value] = times.get(value, 0) + 1
        ranked.append((times[value], len(ranked), arguments))
    return tuple(arguments for _, _, arguments in sorted(ranked, key=lambda each: each[:2])[:count])


def _without_fence(answer: str) -> str:
    """The code in an answer that may be fenced, as chat models write it."""
    found = _FENCE.search(answer)
    return answer if found is None else found[1]
