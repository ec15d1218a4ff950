"""Standard input, output and error: always there, and able to print every text."""

from __future__ import annotations

import os
import sys


def mend_streams() -> None:
    """Call this once, before anything is opened or printed.

    A stream that whoever started this had closed becomes /dev/null: else the next file opened, such as a
    database, would take its number, and what a library prints would go into it. A character that the
    terminal's encoding lacks is printed as "?".
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  it stays open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
