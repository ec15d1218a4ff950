"""Reads TOML files. An error names the file, and quotes the line if the parser names one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from swarmd.errors import ConfigError
from swarmd.quoting import quoted


def read_toml(path: Path, *, bytes_max: int, kind: str) -> str:
    """Return the text of a file that is meant to be `kind`, such as "an experiment". Parses nothing.

    Raises ConfigError if the file is too large or not UTF-8, and OSError if it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ConfigError(f"{path} is larger than {bytes_max} bytes: it is not {kind}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def parse_toml(place: str, text: str) -> dict[str, Any]:
    """Return the content of `text`, which was found at `place`. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number with thousands of digits
        raise ConfigError(f"{place} is not valid TOML: {error}{_quoted(text, str(error))}") from error


def _quoted(text: str, message: str) -> str:
    """Quote the wrong line, if the parser names one and it contains no secret."""
    found = re.search(r"at line (\d+)", message)
    lines = text.split("\n")
    if found is None or not 0 < int(found.group(1)) <= len(lines):
        return ""
    line = lines[int(found.group(1)) - 1].strip()
    return "" if "token" in line else f": {quoted(line)}"
