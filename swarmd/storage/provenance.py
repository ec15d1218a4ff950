"""Where trained weights come from, as a home's database says: how many groups, and whose.

It reads beside a running daemon, and changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from swarmd.errors import StorageError


@dataclass(frozen=True)
class Teacher:
    """A peer whose groups were verified and scored here, so that they could be drawn."""

    peer_id: str
    groups: int


@dataclass(frozen=True)
class Learned:
    """What went into the weights after some step."""

    steps: int
    """Steps that the counts cover: fewer than were made if the database is younger than the home."""
    own: int
    """Own groups."""
    external: int
    """Groups by other peers."""
    teachers: Sequence[Teacher]
    """Until now, the one with the most groups first."""


def read_learned(database: Path, step: int) -> Learned | None:
    """What the home of `database` learned from up to `step`. None without a database.

    Raises StorageError for a database that cannot be read.
    """
    if not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(_uri(database), uri=True)) as connection:
            [(steps, own, external)] = connection.execute(
                "SELECT COUNT(*), TOTAL(metrics ->> 'groups_own'), TOTAL(metrics ->> 'groups_external')"
                " FROM steps WHERE step <= ?",
                (step,),
            )
            rows = connection.execute(
                "SELECT peer_id, groups_pulled FROM publishers ORDER BY groups_pulled DESC, peer_id"
            )
            teachers = tuple(Teacher(peer_id, groups) for peer_id, groups in rows)
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"the database {database} cannot be read ({error}): `swarmd check` says what is wrong with it"
        ) from error
    return Learned(steps, int(own), int(external), teachers)


def _uri(database: Path) -> str:
    """Opened in a way that makes no file: a reader of a database that nobody has open would leave a log."""
    in_use = database.with_name(f"{database.name}-wal").exists()
    return f"{database.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
