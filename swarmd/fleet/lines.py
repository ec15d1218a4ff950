"""How the parent passes on what a child prints: each line says which device it is about."""

from __future__ import annotations

import json
from typing import Any

from swarmd.observe import printable

FIELD = "on"  # of every JSON line; `device` is a field of some events already


def labelled(line: str, name: str, width: int) -> str:
    """`line` for people, after `name` padded to `width` characters.

    A progress bar overwrites itself, so its last state is shown.
    """
    last = [part for part in line.rstrip("\r\n").split("\r") if part][-1:]
    return f"{name:<{width}} | {printable(''.join(last))}"


def labelled_json(line: str, name: str) -> str:
    """`line`, one JSON object, with the field `on` in front; anything else becomes an event `output`."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        event = {"event": "output", "level": "info", "message": printable(line.rstrip("\r\n"))}
    return json.dumps({FIELD: name} | event)
