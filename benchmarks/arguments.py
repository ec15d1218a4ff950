"""Types of the benchmarks' arguments, so that one that cannot be measured ends with a usage message."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any


def at_least(least: int) -> Callable[[str], int]:
    """Return the type of a whole number that must not be less."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


positive = at_least(1)


def duration(text: str) -> float:
    """A time in which something can be measured."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def saved_results(path: str) -> dict[str, Any]:
    """Return what `benchmarks.trainer` saved in a file."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict) or "cases" not in found:
        raise ArgumentTypeError(f"{path} has no results of benchmarks.trainer")
    return found


def refuse_ignored(parser: ArgumentParser, options: Namespace, when: str, *names: str) -> None:
    """End with a usage message if one of these options was given. `when`: when they have no effect, such as
    "with --table".
    """
    for name in names:
        if getattr(options, name) != parser.get_default(name):
            parser.error(f"--{name} has no effect {when}")
