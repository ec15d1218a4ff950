"""Standard output, line by line: a measurement takes minutes, and a pipe would hold its lines back."""

from __future__ import annotations

import sys


def write(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
