"""What a peer keeps: its home, the pool and the ledger, the records, the checkpoints.

Synchronous throughout. Everything but saving and loading checkpoints is quick enough for the event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from swarmd.storage.blobs import BlobStore
from swarmd.storage.home import Home

if TYPE_CHECKING:
    from swarmd.storage.checkpoint_files import Checkpoint
    from swarmd.storage.checkpoints import Checkpoints
    from swarmd.storage.database import Database
    from swarmd.storage.ledger import Counts, PublisherCounts
    from swarmd.storage.peers import SeenPeer
    from swarmd.storage.pool import Pool
    from swarmd.storage.steps import Rewards

_AT_FIRST_USE = {
    "Checkpoint": "checkpoint_files",
    "Checkpoints": "checkpoints",
    "Counts": "ledger",
    "Database": "database",
    "Pool": "pool",
    "PublisherCounts": "ledger",
    "Rewards": "steps",
    "SeenPeer": "peers",
}
"""Imported at first use: torch takes seconds and the database a third of one, and a command like `swarmd
status` should not wait for either."""

__all__ = [
    "BlobStore",
    "Checkpoint",
    "Checkpoints",
    "Counts",
    "Database",
    "Home",
    "Pool",
    "PublisherCounts",
    "Rewards",
    "SeenPeer",
]


def __getattr__(name: str) -> object:
    if name in _AT_FIRST_USE:
        return getattr(import_module(f"swarmd.storage.{_AT_FIRST_USE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
