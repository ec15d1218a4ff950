"""The line of a key in a TOML text. For messages only: `tomllib` keeps no positions."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"\s*(\[\[?)([^\]]+)\]")  # no two parts of it can match the same: strangers write files
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


def line_of(text: str, key: Sequence[str | int]) -> int:
    """The line (from 1) of `key`, such as ("tasks", 2, "config", "min_base").

    If the key is not found, because it is missing or in an inline table, the line is that of the innermost
    table around it that is found, or else line 1.
    """
    lines = {(): 1, **_lines(text)}
    wanted = tuple(key)
    while wanted not in lines:
        wanted = wanted[:-1]
    return lines[wanted]


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    found: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _resolve(_names(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_names(key[1])), number)
    return found


def _names(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _resolve(names: list[str], counts: dict[tuple[str | int, ...], int]) -> tuple[str | int, ...]:
    """The path of a header, with the index of the array element it belongs to filled in."""
    path: tuple[str | int, ...] = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if path in counts and position < len(names) - 1:
            path = (*path, counts[path])
    return path
