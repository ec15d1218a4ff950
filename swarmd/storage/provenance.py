"""The provenance of trained weights according to a home's database: how many groups, and whose.

It reads beside a running daemon and changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarmd.errors import StorageError
from swarmd.storage.read_only import read_only


@dataclass(frozen=True)
class Teacher:
    """A peer whose groups were verified and scored here, so that they could be drawn."""

    peer_id: str
    groups: int


@dataclass(frozen=True)
class Learned:
    """What the weights of some step were trained on."""

    steps: int
    """Steps that the counts cover. Fewer than were taken if the database is newer than the home."""
    own: int
    """Own groups."""
    external: int
    """Groups by other peers."""
    teachers: Sequence[Teacher]
    """Up to now, most groups first."""


def read_learned(database: Path, step: int) -> Learned | None:
    """Return what the home of `database` learned from up to `step`. None without a database.

    Raises StorageError if the database cannot be read.
    """
    if not database.is_file():
        return None
    with _reading(database) as connection:
        [(steps, own, external)] = connection.execute(
            "WITH read AS (SELECT REPLACE(REPLACE(REPLACE(metrics, 'NaN', 'null'), '-Infinity', 'null'),"
            " 'Infinity', 'null') AS metrics FROM steps WHERE step <= ?)"  # earlier versions stored these
            " SELECT COUNT(*), TOTAL(JSON_EXTRACT(metrics, '$.groups_own')),"
            " TOTAL(JSON_EXTRACT(metrics, '$.groups_external_used')) FROM read",
            (step,),
        )
        rows = connection.execute(
            "SELECT peer_id, groups_pulled FROM publishers ORDER BY groups_pulled DESC, peer_id"
        )
        teachers = tuple(Teacher(peer_id, groups) for peer_id, groups in rows)
    return Learned(steps, int(own), int(external), teachers)


def read_untrained(database: Path, step: int, asked: Collection[bytes] = ()) -> dict[str, tuple[int, int]]:
    """Return task -> (right, asked) of the untrained model, on the held-out questions that the weights were
    also asked up to `step`. Empty if unknown.

    `asked`: digests of the questions (`Sitting.asked`) that count; none means all. After a change of the
    swarm's rules there are others.

    Raises StorageError if the database cannot be read.
    """
    if not database.is_file():
        return {}
    counts: dict[str, tuple[int, int]] = {}
    with _reading(database) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'held_out'").fetchall():
            return {}  # a home of an earlier version
        rows = connection.execute(
            "SELECT asked, answers FROM held_out WHERE untrained AND (model, asked) IN"
            " (SELECT model, asked FROM held_out WHERE NOT untrained AND step <= ?)",
            (step,),
        )
        for answers in [answers for found, answers in rows if not asked or found in asked]:
            for task, marks in json.loads(answers).items():  # "1" for each right answer, "0" for a wrong one
                right, count = counts.get(task, (0, 0))
                counts[task] = right + marks.count("1"), count + len(marks)
    return counts


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with read_only(database) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"the database {database} cannot be read ({error}): `swarmd check` shows what is wrong with it"
        ) from error
