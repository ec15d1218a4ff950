"""Amounts of memory as an operator writes them: "6GiB", "800MB" or "80%"."""

from __future__ import annotations

import re

from swarmd.errors import ConfigError
from swarmd.quoting import quoted

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_LIMIT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(%|[KMG]i?B)", re.IGNORECASE)
"""15 digits of the smallest unit are an exabyte."""


def memory_limit_bytes(text: str, free_bytes: int) -> int:
    """Return the bytes that `text` allows when `free_bytes` are free. Raises ConfigError."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f"{quoted(text)} is not an amount of memory: give a size such as 6GiB or a share such as 80%"
        )
    number, unit = float(found[1]), found[2].upper()
    if unit != "%":
        return int(number * UNITS[unit])
    if not 0 < number <= 100:
        raise ConfigError(
            f"{quoted(text)} of the free memory cannot be used: give more than 0% and at most 100%"
        )
    return int(free_bytes * number / 100)
