"""Numbers that JSON has no notation for."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """Return `value`, and every value in it if it is a dictionary, with None for NaN and infinities, such as
    the loss of a skipped update. Python would write these as `NaN`, which no other reader of JSON accepts.
    """
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
