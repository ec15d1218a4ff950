"""One value written as text, where text, numbers and switches are all allowed."""

from __future__ import annotations

import json


def plain_value(text: str) -> bool | int | float | str:
    """Read true, false and numbers as in JSON, and everything else as text."""
    try:
        value = json.loads(text, parse_constant=str)  # treats NaN and Infinity as text
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
