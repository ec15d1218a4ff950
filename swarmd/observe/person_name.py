"""The name that a person gives for the record. The terminal checks it before asking the first question."""

from __future__ import annotations

from protocol import outside_of_names
from protocol.people import PERSON_NAME_BYTES_MAX
from swarmd.errors import ConfigError


def read_name(name: str | None) -> str | None:
    """Return the checked name for the record; None for no name. Raises ConfigError."""
    if name is None or not name.strip():
        return None
    name = name.strip()
    if (outside := outside_of_names(name)) is not None:
        raise ConfigError(f"a name cannot contain the character U+{ord(outside):04X}: choose another name")
    if len(name.encode()) > PERSON_NAME_BYTES_MAX:
        raise ConfigError(f"a name has at most {PERSON_NAME_BYTES_MAX} bytes of UTF-8: choose a shorter one")
    return name
