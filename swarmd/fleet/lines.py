"""Labels the lines that children print with the name of their device."""

from __future__ import annotations

import json
from typing import Any

from swarmd.observe import printable

FIELD = "on"  # in every JSON line; some events already have a field `device`


def labelled(line: str, name: str, width: int) -> str:
    """Return `line` for people, after `name` padded to `width` characters.

    A progress bar overwrites itself, so only its last state is shown.
    """
    last = [part for part in line.rstrip("\r\n").split("\r") if part][-1:]
    return f"{name:<{width}} | {printable(''.join(last))}"


def labelled_json(line: str, name: str) -> str:
    """Return `line`, a JSON object, with the field `on` first. Anything else becomes an `output` event."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        event = {"event": "output", "level": "info", "message": printable(line.rstrip("\r\n"))}
    return json.dumps({FIELD: name} | event)
