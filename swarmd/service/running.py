"""Runs a system program for a bounded time, and reports failures as a single error."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from swarmd.errors import SwarmdError
from swarmd.service.interface import STOP_S

CALL_S = STOP_S + 60
"""Seconds that a call can take: stopping a peer waits for its checkpoint, everything else is quick."""


def call(command: Sequence[str]) -> str:
    """Run the program and return its standard output. Raises SwarmdError if it fails."""
    done = attempt(command)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise SwarmdError(f"`{' '.join(command)}` failed: {said[0]}")
    return done.stdout


def attempt(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program that may fail. Raises SwarmdError if it cannot be run or does not end."""
    try:
        return subprocess.run(  # noqa: S603  the system's own service manager
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CALL_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SwarmdError(f"`{' '.join(command)}` did not end within {CALL_S} s") from error
    except OSError as error:
        raise SwarmdError(f"`{command[0]}` cannot be run: {error.strerror}") from error
