"""Resource limits that only go down: setrlimit(2)."""

from __future__ import annotations

import resource


def lower(kind: int, value: int) -> None:
    """Lower the soft and hard limits to `value`; a hard limit that is already lower stays."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
