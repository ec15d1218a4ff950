"""Parses a manifest's rules for who judges a task's answers. Pure.

The rules are an option of the task, `judges`, and so part of its id. The worker removes the option before it
builds the task. `swarmd.judges` does the judging.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from swarmd.quoting import quoted

OPTION = "judges"
JUDGES_MAX = 8  # per task: every peer holds the weights of each model judge in memory
WEIGHT_MAX = 100
QUESTIONS_MAX = 4_096  # of an agreement task: with more, two peers would rarely be asked the same one
QUESTIONS_DEFAULT = 256
PARTIES_MAX = 16  # that an agreement can wait for: with more, hardly any question would ever be judged

Kind = Literal["verifier", "agreement", "generative", "reward_model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WITH_MODEL = ("generative", "reward_model")
_KEYS = ("kind", "weight", "model", "questions", "parties")
_MODEL = re.compile(r"embedded|smollm2-135m|[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class BadJudgeError(ValueError):
    """A judge that a manifest must not name. `number` is its index in the list."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True)
class JudgeRule:
    """One judge of a task, and how much its opinion weighs."""

    kind: Kind
    weight: int = 1
    model: str | None = None
    """A hub id or a model that comes with a package. None: each peer chooses its own."""
    questions: int = QUESTIONS_DEFAULT
    """For agreement: how many questions the whole swarm shares, so that peers answer the same ones."""
    parties: int = 1
    """For agreement: how many parties must have voted. With 1, a lone peer learns from its most common
    answers."""

    def __str__(self) -> str:
        return f"{self.kind} ({self.model or 'of each peer'})" if self.kind in WITH_MODEL else self.kind


@lru_cache(maxsize=1_024)
def judges_of(config: str) -> tuple[JudgeRule, ...]:
    """The judges in a task's options (canonical JSON); empty if only its verifier scores it.

    Raises ValueError, which says what is wrong.
    """
    options = json.loads(config)
    return rules_of(options[OPTION]) if OPTION in options else ()


def rules_of(tables: Any) -> tuple[JudgeRule, ...]:
    """The rules in `tables`, as a manifest contains them. Raises ValueError, which says what is wrong."""
    if not isinstance(tables, list) or not 1 <= len(tables) <= JUDGES_MAX:
        raise ValueError(f"judges must be a list of 1 to {JUDGES_MAX} tables, each with a kind")
    rules = tuple(_rule(table, number) for number, table in enumerate(tables))
    if len({(rule.kind, rule.model) for rule in rules}) < len(rules):
        raise ValueError("a judge is listed twice: list it once, with a larger weight")
    return rules


def why_unfit(rules: Sequence[JudgeRule], *, turns: int, images: bool) -> str | None:
    """Why these judges cannot judge a task of so many turns, with or without images; None if they can."""
    kinds = [rule.kind for rule in rules]
    if turns > 1 and "agreement" in kinds:
        return (
            "agreement compares single answers to the same question, and a later turn depends on the replies "
            "to the earlier ones: remove it from a task of several turns, or use generative or reward_model"
        )
    blind = next((kind for kind in kinds if kind in WITH_MODEL), None)
    if images and blind is not None:
        return (
            f"{blind} reads text only and cannot see the images of this task: remove it, or use verifier or "
            "agreement"
        )
    return None


def without_judges(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the task's source knows."""
    return {name: value for name, value in options.items() if name != OPTION}


def _rule(table: Any, number: int) -> JudgeRule:
    try:
        return _read(table)
    except ValueError as error:
        raise BadJudgeError(str(error), number) from None


def _read(table: Any) -> JudgeRule:
    if not isinstance(table, dict) or table.get("kind") not in KINDS:
        raise ValueError(f"a judge needs a kind: {', '.join(KINDS)}")
    if unknown := sorted(table.keys() - set(_KEYS)):
        raise ValueError(f"a judge has no key {quoted(unknown[0])}; keys are {', '.join(_KEYS)}")
    kind, model = table["kind"], table.get("model")
    if model is not None and kind not in WITH_MODEL:
        raise ValueError(f"model applies to {' and '.join(WITH_MODEL)} only: remove it from {kind}")
    if model is not None and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise ValueError(
            "a judge's model must be embedded or a hub id: a path means nothing to other peers. Remove it "
            "to let each peer choose its own"
        )
    for key in ("questions", "parties"):
        if key in table and kind != "agreement":
            raise ValueError(f"{key} applies to agreement only: remove it from {kind}")
    weight = _whole(table, "weight", 1, WEIGHT_MAX)
    questions = _whole(table, "questions", QUESTIONS_DEFAULT, QUESTIONS_MAX)
    return JudgeRule(kind, weight, model, questions, _whole(table, "parties", 1, PARTIES_MAX))


def _whole(table: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{key} must be a whole number from 1 to {most}")
    return value
