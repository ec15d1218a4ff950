"""Everything a peer keeps: its home, the pool and the ledger, the records, the checkpoints.

All calls are synchronous. Everything except saving and loading checkpoints is fast enough for the event loop.
"""

from typing import TYPE_CHECKING

from swarmd.lazy import at_first_use
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

__getattr__ = at_first_use(
    __name__,
    {
        "Checkpoint": "checkpoint_files",
        "Checkpoints": "checkpoints",
        "Counts": "ledger",
        "Database": "database",
        "Pool": "pool",
        "PublisherCounts": "ledger",
        "Rewards": "steps",
        "SeenPeer": "peers",
    },
)
"""Importing torch takes seconds, the database a third of one; `swarmd status` should wait for neither."""
