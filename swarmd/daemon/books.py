"""Check a home's database at the start: that it belongs to this peer, and that it agrees with the files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol import PeerId
from swarmd.errors import ConfigError
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.durable import FORMER
from swarmd.storage.reconciling import reconcile

if TYPE_CHECKING:  # an observer has no past, so it need not load the model libraries
    from swarmd.daemon.resuming import Past


def require_own(database: Database, home: Home, peer_id: PeerId) -> None:
    """Bind the ledger to this peer. Raises ConfigError if it belongs to another."""
    whose = database.facts.peer_id
    if whose is not None and whose != peer_id:
        raise ConfigError(
            f"{home.identity_path} is the key of {peer_id}, but the ledger of this home belongs to {whose}: "
            f"restore the key of {whose} (`swarmd key restore FILE --replace`), or, to be a new peer with "
            "the weights of this home, move identity.key away and start with --new-identity"
        )
    database.facts.set_peer(peer_id)


def past_of(database: Database) -> Past:
    """Return how far this home got, before anything is rewound."""
    from swarmd.daemon.resuming import Past

    return Past(database.steps.last(), database.facts.saved_step)


def settle(
    database: Database,
    blobs: BlobStore,
    home: Home,
    peer_id: PeerId,
    *,
    now: float,
    warn: Callable[[str], None],
) -> None:
    """Reconcile ledger and records, and warn about what was lost. Raises StorageError."""
    has_trained = database.is_new and bool(Checkpoints(home.checkpoints_path, 1).paths() or len(blobs))
    found = reconcile(database, blobs, peer_id, now=now)
    former = next(home.path.glob(f"{FORMER}{home.database_path.name}*"), None)
    if has_trained and former is not None and not found.entered:
        warn(f"this peer counts from 0; the ledger of the home's previous peer is kept as {former}")
    elif has_trained:
        warn(
            f"the database {home.database_path} is new, and this home is not: totals, ledger, step metrics, "
            "the pool, known peers, bans and trust are lost, unless you stop now and restore a "
            f"backup. {found.entered} published groups were entered again from records/; checkpoints are "
            "unaffected"
        )
    elif found.entered:
        warn(f"{found.entered} records were missing from the ledger, as happens after a kill: added now")
    if found.lost:
        warn(
            f"{found.lost} records listed in the ledger are missing from {home.records_path}: "
            "they can no longer be served"
        )
