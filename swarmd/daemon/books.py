"""Checks a home's books at the start: whose they are, and whether they agree with its files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol import PeerId
from swarmd.errors import ConfigError
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.durable import FORMER
from swarmd.storage.reconciling import reconcile

if TYPE_CHECKING:  # an observer has no past and need not load the models' libraries
    from swarmd.daemon.resuming import Past


def require_own(database: Database, home: Home, peer_id: PeerId) -> None:
    """Bind the ledger to this peer. Raises ConfigError if it belongs to another."""
    whose = database.facts.peer_id
    if whose is not None and whose != peer_id:
        raise ConfigError(
            f"{home.identity_path} is the key of {peer_id}, and the ledger of this home belongs to {whose}: "
            f"put the key of {whose} back (`swarmd key restore FILE --replace`), or, to be a new peer with "
            "the weights of this home, move identity.key away and start with --new-identity"
        )
    database.facts.set_peer(peer_id)


def past_of(database: Database) -> Past:
    """How far this home got, before anything is rewound."""
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
    """Reconcile ledger and records, and warn of what was lost. Raises StorageError."""
    has_trained = database.is_new and bool(Checkpoints(home.checkpoints_path, 1).paths() or len(blobs))
    found = reconcile(database, blobs, peer_id, now=now)
    former = next(home.path.glob(f"{FORMER}{home.database_path.name}*"), None)
    if has_trained and former is not None and not found.entered:
        warn(f"this peer counts from 0; the ledger of the one that lived here before is kept as {former}")
    elif has_trained:
        warn(
            f"the database {home.database_path} is new, and this home is not: totals, ledger, step metrics, "
            "the pool, known peers, bans and trust are lost, unless you stop now and put a backup in its "
            f"place. {found.entered} published groups were entered again from records/; checkpoints go on as "
            "they are"
        )
    elif found.entered:
        warn(f"{found.entered} records had no entry in the ledger, as happens after a kill: entered now")
    if found.lost:
        warn(
            f"{found.lost} records that the ledger lists are gone from {home.records_path}: "
            "they are no longer served"
        )
