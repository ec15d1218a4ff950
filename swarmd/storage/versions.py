"""Checks that this swarmd can read a home of that version. Opening an older home migrates it.

Downgrades are refused before anything is written: an older swarmd would take unknown data for damage, or
train without it. This module imports neither torch nor the tables, because every command that opens a home
uses it.
"""

from __future__ import annotations

import json
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.storage.schema import APPLICATION_ID, MIGRATIONS

CHECKPOINT_FORMAT = 1
"""Increased when older versions can no longer read what a newer one writes."""
CHECKPOINT_MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 65_536  # about 500 bytes with three files


def require_known_versions(home: Path, database: Path, checkpoints: Path) -> None:
    """Raise ConfigError for a home that a newer swarmd wrote. Ignores damage; other checks report it."""
    for part, found, known in (
        ("database has version", database_version(database), len(MIGRATIONS)),
        ("newest checkpoint has format", _checkpoint_format(checkpoints), CHECKPOINT_FORMAT),
    ):
        if found > known:
            raise ConfigError(
                f"home {home} was written by a newer swarmd: its {part} {found}, and this one supports up "
                f"to {known}. Nothing was changed. Install the newer swarmd again, restore a backup from "
                "before the update, or choose another --home"
            )


def database_version(path: Path) -> int:
    """0 if there is no database, it is not ours, or it cannot be read."""
    if not path.is_file() or not path.stat().st_size:
        return 0
    import sqlite3

    from swarmd.storage.read_only import read_only

    try:
        with read_only(path) as sqlite:
            [(application,)] = sqlite.execute("PRAGMA application_id")
            [(version,)] = sqlite.execute("PRAGMA user_version")
    except sqlite3.DatabaseError:
        return 0
    return int(version) if application == APPLICATION_ID else 0


def _checkpoint_format(directory: Path) -> int:
    """0 if there is no checkpoint, or its manifest cannot be read."""
    try:
        newest = max((path for path in directory.iterdir() if path.name[:1].isdigit()), default=None)
        if newest is None:
            return 0
        with (newest / CHECKPOINT_MANIFEST).open("rb") as file:
            found = json.loads(file.read(MANIFEST_BYTES_MAX))["manifest"]["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) else 0
