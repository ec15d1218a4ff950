"""Parses the options of our own datasets: whole numbers within bounds, and lists of known words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from swarmd.quoting import quoted
from swarmd.tasks.source import BadOptionError


def check_names(dataset: str, config: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise BadOptionError for an option that the dataset does not have."""
    for option in config:
        if option not in known:
            near = get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise BadOptionError(f"{dataset} has no option {quoted(option)}; {hint}", option)


def whole(dataset: str, config: Mapping[str, Any], option: str, default: int, low: int, high: int) -> int:
    """The option's value. Raises BadOptionError unless it is a whole number in low..high."""
    value = config.get(option, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadOptionError(f"{dataset}: {option} must be a whole number from {low} to {high}", option)
    return value


def word(dataset: str, config: Mapping[str, Any], option: str, default: str, known: Collection[str]) -> str:
    """The option's value. Raises BadOptionError unless it is one of `known`."""
    value = config.get(option, default)
    if not isinstance(value, str) or value not in known:
        raise BadOptionError(f"{dataset}: {option} must be one of {', '.join(known)}", option)
    return value


def words(
    dataset: str, config: Mapping[str, Any], option: str, default: Collection[str], known: Collection[str]
) -> list[str]:
    """The option's values, in the order of `known`. Raises BadOptionError unless all are among them."""
    value = config.get(option, list(default))
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v in known for v in value):
        raise BadOptionError(f"{dataset}: {option} must be a list of some of {', '.join(known)}", option)
    return [each for each in known if each in value]
