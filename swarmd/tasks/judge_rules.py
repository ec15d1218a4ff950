"""What a manifest says about who judges a task's answers. Pure.

The rules stand among the options of the task, under `judges`, so they are part of its id. The worker takes
them away before it builds the task. `swarmd.judges` judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

OPTION = "judges"
JUDGES_MAX = 8  # of one task: each model judge holds its weights in the memory of every peer
WEIGHT_MAX = 100
QUESTIONS_MAX = 4_096  # of an agreement: more would rarely be asked by two peers
QUESTIONS_DEFAULT = 256
PARTIES_MAX = 16  # that an agreement may wait for: with more, hardly a question is ever judged

Kind = Literal["verifier", "agreement", "generative", "reward_model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WITH_MODEL = ("generative", "reward_model")
_KEYS = ("kind", "weight", "model", "questions", "parties")
_MODEL = re.compile(r"embedded|smollm2-135m|[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class BadJudgeError(ValueError):
    """A judge that a manifest may not name; `number` is its place in the list."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True)
class JudgeRule:
    """One judge of a task, and how much its opinion weighs."""

    kind: Kind
    weight: int = 1
    model: str | None = None
    """A hub id or a model that comes with a package. None: each peer names its own."""
    questions: int = QUESTIONS_DEFAULT
    """Of an agreement: how many questions the whole swarm asks, so that peers answer the same ones."""
    parties: int = 1
    """Of an agreement: how many must have voted. With 1 a peer alone learns from its commonest answers."""

    def __str__(self) -> str:
        return f"{self.kind} ({self.model or 'of each peer'})" if self.kind in WITH_MODEL else self.kind


@lru_cache(maxsize=1_024)
def judges_of(config: str) -> tuple[JudgeRule, ...]:
    """The judges in a task's options (canonical JSON); empty if its verifier alone scores it.

    Raises ValueError that says what is wrong.
    """
    options = json.loads(config)
    return rules_of(options[OPTION]) if OPTION in options else ()


def rules_of(tables: Any) -> tuple[JudgeRule, ...]:
    """The rules in `tables`, as a manifest writes them. Raises ValueError that says what is wrong."""
    if not isinstance(tables, list) or not 1 <= len(tables) <= JUDGES_MAX:
        raise ValueError(f"judges is a list of 1 to {JUDGES_MAX} tables, each with a kind")
    rules = tuple(_rule(table, number) for number, table in enumerate(tables))
    if len({(rule.kind, rule.model) for rule in rules}) < len(rules):
        raise ValueError("a judge is named twice: give it one weight")
    return rules


def without_judges(options: Mapping[str, Any]) -> dict[str, Any]:
    """A task's own options: those that its source knows."""
    return {name: value for name, value in options.items() if name != OPTION}


def _rule(table: Any, number: int) -> JudgeRule:
    try:
        return _read(table)
    except ValueError as error:
        raise BadJudgeError(str(error), number) from None


def _read(table: Any) -> JudgeRule:
    if not isinstance(table, dict) or table.get("kind") not in KINDS:
        raise ValueError(f"a judge has a kind: {', '.join(KINDS)}")
    if unknown := sorted(table.keys() - set(_KEYS)):
        raise ValueError(f"a judge has no {unknown[0]!r}; it has {', '.join(_KEYS)}")
    kind, model = table["kind"], table.get("model")
    if model is not None and kind not in WITH_MODEL:
        raise ValueError(f"model is for {' and '.join(WITH_MODEL)}: {kind} needs none")
    if model is not None and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise ValueError(
            "a judge's model is embedded or a hub id: a path means nothing to other peers. Leave it out, and "
            "each peer names its own"
        )
    for key in ("questions", "parties"):
        if key in table and kind != "agreement":
            raise ValueError(f"{key} is for agreement: {kind} needs none")
    weight = _whole(table, "weight", 1, WEIGHT_MAX)
    questions = _whole(table, "questions", QUESTIONS_DEFAULT, QUESTIONS_MAX)
    return JudgeRule(kind, weight, model, questions, _whole(table, "parties", 1, PARTIES_MAX))


def _whole(table: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{key} is a whole number from 1 to {most}")
    return value
