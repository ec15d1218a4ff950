"""The ledger and the pool for a thread that only reads them while another thread writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from swarmd.storage.connection import Connection
from swarmd.storage.durable import log_problem
from swarmd.storage.ledger import Ledger
from swarmd.storage.pool import POOL_GROUPS_MAX, Pool


@contextmanager
def reading(path: Path) -> Iterator[tuple[Ledger, Pool]]:
    """Open the existing database at `path` over a separate connection. Raises StorageError."""
    with closing(Connection(path)) as connection:
        ledger = Ledger(connection)
        yield ledger, Pool(connection, ledger, POOL_GROUPS_MAX, log_problem)
