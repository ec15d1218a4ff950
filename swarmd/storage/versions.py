"""Whether this swarmd reads a home of that version. An older one is brought up to date when it is opened.

Going back is refused before anything is written: an older swarmd would take what it does not know for damage,
or train on without it. Imports neither torch nor the tables, because every command that opens a home asks.
"""

from __future__ import annotations

import json
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.storage.schema import APPLICATION_ID, MIGRATIONS

CHECKPOINT_FORMAT = 1
"""Goes up when an older swarmd could no longer read what a newer one writes."""
CHECKPOINT_MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 65_536  # with three files it takes some 500 bytes


def require_known_versions(home: Path, database: Path, checkpoints: Path) -> None:
    """Raises ConfigError for a home that a newer swarmd wrote. What is damaged passes: others report that."""
    for part, found, known in (
        ("database has version", _database_version(database), len(MIGRATIONS)),
        ("newest checkpoint has format", _checkpoint_format(checkpoints), CHECKPOINT_FORMAT),
    ):
        if found > known:
            raise ConfigError(
                f"home {home} was written by a newer swarmd: its {part} {found}, and this one knows none "
                f"above {known}. Nothing was changed. Install the newer swarmd again, put a backup from "
                "before the update in the home's place, or choose another --home"
            )


def _database_version(path: Path) -> int:
    """0 if there is none, and if it is not ours or cannot be read."""
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
    """0 if there is none, and if its manifest cannot be read."""
    try:
        newest = max((path for path in directory.iterdir() if path.name[:1].isdigit()), default=None)
        if newest is None:
            return 0
        with (newest / CHECKPOINT_MANIFEST).open("rb") as file:
            found = json.loads(file.read(MANIFEST_BYTES_MAX))["manifest"]["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) else 0
