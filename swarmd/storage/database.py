"""The home's SQLite database: migration to this version, and recovery from a corrupt file.

The tables are explained in `pool`, `ledger`, `steps`, `reward_history`, `held_out`, `peers`, `acquaintances`,
`partners`, `answers`, `credits` and `happenings`. They share one connection so that, for example, a group
enters the pool and the ledger in one transaction. The process that holds the home's lock opens the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from swarmd.errors import StorageError
from swarmd.storage.acquaintances import Acquaintances
from swarmd.storage.answers import Answers
from swarmd.storage.connection import Connection, CorruptDatabaseError
from swarmd.storage.credits import Credits
from swarmd.storage.durable import Report, disk_error, log_problem, set_aside
from swarmd.storage.facts import Facts
from swarmd.storage.happenings import Happenings
from swarmd.storage.held_out import HeldOut
from swarmd.storage.ledger import Ledger
from swarmd.storage.partners import Partners
from swarmd.storage.peers import Peers
from swarmd.storage.pool import POOL_GROUPS_MAX, Pool
from swarmd.storage.reward_history import RewardHistory
from swarmd.storage.schema import APPLICATION_ID, MIGRATIONS
from swarmd.storage.steps import Steps

SUFFIXES = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps next to a database."""


class Database:
    """The pool, the ledger, the steps and the peers of one home."""

    def __init__(
        self, path: Path, *, pool_groups_max: int = POOL_GROUPS_MAX, on_problem: Report = log_problem
    ) -> None:
        """Open or create the database. A damaged file is set aside as `damaged-swarmd.db`, replaced, and
        reported.

        Raises StorageError for disk errors, and for a database of a newer swarmd or of another program.
        """
        self.is_new = not is_there(path)
        """Whether the file was missing, empty or damaged."""
        if self.is_new:
            _keep_log_of_missing(path, on_problem)
        try:
            self._connection = _open(path)
        except CorruptDatabaseError as error:
            self.is_new = True
            aside = _set_aside(path)
            self._connection = _open(path)
            on_problem(
                f"the database {path} is damaged ({error.__cause__ or error}): it is kept as {aside}, and a "
                "new one replaces it"
            )
        self.facts = Facts(self._connection)
        self.ledger = Ledger(self._connection)
        self.pool = Pool(self._connection, self.ledger, pool_groups_max, on_problem)
        self.reward_history = RewardHistory(self._connection)
        self.steps = Steps(self._connection, self.reward_history)
        self.held_out = HeldOut(self._connection)
        self.peers = Peers(self._connection)
        self.acquaintances = Acquaintances(self._connection)
        self.partners = Partners(self._connection)
        self.answers = Answers(self._connection)
        self.credits = Credits(self._connection)
        self.happenings = Happenings(self._connection)

    def rewind(self, step: int) -> None:
        """Forget training after `step`, from which the peer resumed: drop later metrics and evaluations, and
        let groups used later be drawn again.

        Totals stay, because those events happened.
        """
        with self._connection.transaction():
            self.pool.release_after(step)
            self.steps.forget_after(step)
            self.reward_history.forget_after(step)
            self.held_out.forget_after(step)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Combine several writes: all or none, and a single write to the disk."""
        with self._connection.transaction():
            yield

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: Path) -> Connection:
    connection = Connection(path)
    try:
        _check(connection)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: Connection) -> None:
    """Read all pages once, because SQLite detects most corruption only on the pages that it reads."""
    [(verdict,)] = connection.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise CorruptDatabaseError(" ".join(verdict.split()))


def _migrate(connection: Connection, path: Path) -> None:
    [(application,)] = connection.execute("PRAGMA application_id")
    [(version,)] = connection.execute("PRAGMA user_version")
    [(tables,)] = connection.execute("SELECT COUNT(*) FROM sqlite_schema")
    if tables and application != APPLICATION_ID:
        raise StorageError(
            f"{path} is the database of another program; move it away or choose another --home"
        )
    if version > len(MIGRATIONS):
        raise StorageError(
            f"the database {path} has version {version} and this swarmd knows none above {len(MIGRATIONS)}: "
            "use the newer swarmd that wrote it, or choose another --home"
        )
    if version == len(MIGRATIONS):
        return
    with connection.transaction():
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def is_there(path: Path) -> bool:
    """Whether the database file has any content. Raises StorageError."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise disk_error(f"read the database {path}", error) from error


def _keep_log_of_missing(path: Path, on_problem: Report) -> None:
    """Set the log of a missing database aside: it may be all that is left, and SQLite would delete it."""
    log = path.with_name(f"{path.name}-wal")
    if is_there(log):
        on_problem(f"the database {path} is missing; its log is kept as {_set_aside(log)}")


def _set_aside(path: Path) -> Path:
    try:
        return set_aside(path, with_suffixes=SUFFIXES)
    except OSError as error:
        raise disk_error(f"set the damaged database {path} aside", error) from error
