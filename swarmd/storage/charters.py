"""The charters in a home: signed envelopes, verified each time they are read."""

from __future__ import annotations

from pathlib import Path

from protocol import CHARTER_BYTES_MAX, RejectedRecord, VerifiedCharter, verify_charter
from swarmd.errors import ConfigError
from swarmd.storage.durable import remedy


def read_charter(path: Path, remedy_if_damaged: str) -> VerifiedCharter | None:
    """Read a signed charter; None if the file does not exist. Raises ConfigError if it is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(CHARTER_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {remedy(error)}") from error
    try:
        return verify_charter(data)
    except RejectedRecord as error:
        raise ConfigError(f"{path} is not what an author signed ({error}): {remedy_if_damaged}") from error
