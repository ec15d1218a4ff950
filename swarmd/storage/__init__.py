"""What a peer keeps: its home, the pool and the ledger, the records, the checkpoints.

Synchronous throughout. Everything but saving and loading checkpoints is quick enough for the event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from swarmd.storage.blobs import BlobStore
from swarmd.storage.durable import Report
from swarmd.storage.home import Home
from swarmd.storage.ledger import Counts, Entry, Ledger, PublisherCounts
from swarmd.storage.peers import Peers, SeenPeer
from swarmd.storage.steps import Rewards, Steps

if TYPE_CHECKING:
    from swarmd.storage.acquaintances import Acquaintances
    from swarmd.storage.checkpoint_files import Checkpoint
    from swarmd.storage.checkpoints import Checkpoints
    from swarmd.storage.database import Database
    from swarmd.storage.pool import Pool

_NEEDING_TORCH = {
    "Acquaintances": "acquaintances",
    "Checkpoint": "checkpoint_files",
    "Checkpoints": "checkpoints",
    "Database": "database",
    "Pool": "pool",
}
"""Imported at first use: torch takes seconds, and a command like `swarmd status` should not wait for it."""

__all__ = [
    "Acquaintances",
    "BlobStore",
    "Checkpoint",
    "Checkpoints",
    "Counts",
    "Database",
    "Entry",
    "Home",
    "Ledger",
    "Peers",
    "Pool",
    "PublisherCounts",
    "Report",
    "Rewards",
    "SeenPeer",
    "Steps",
]


def __getattr__(name: str) -> object:
    if name in _NEEDING_TORCH:
        return getattr(import_module(f"swarmd.storage.{_NEEDING_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
