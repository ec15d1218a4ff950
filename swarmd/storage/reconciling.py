"""Makes the ledger and the record files agree after a kill between two writes, or after a person removed
files.

A record's file is written before its entry, so a kill in between leaves a file without an entry. If the
record is this peer's own, it is entered; another peer's record can be pulled again. An entry without a file,
while older entries have theirs, means that a record was lost. The log notes that once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import takewhile

from protocol import AnyRecord, PeerId, RejectedRecord, open_record
from swarmd.storage.blobs import BlobStore
from swarmd.storage.database import Database
from swarmd.storage.ledger import ENTRIES_MAX


@dataclass(frozen=True)
class Reconciled:
    """The differences that were found."""

    entered: int
    """Own records that had no entry."""
    lost: int
    """Entries whose record is missing."""


def reconcile(database: Database, blobs: BlobStore, own: PeerId, *, now: float) -> Reconciled:
    """Make the ledger agree with the records. Raises StorageError."""
    ledger = database.ledger
    unknown = without_entry(blobs, database)
    missing = without_file(ledger.records(), blobs)
    with database.transaction():
        entered = 0
        for digest in reversed(unknown):
            envelope = blobs.get(digest)
            record = None if envelope is None else own_record(envelope, own)
            if record is not None:
                ledger.published(digest, record.round, record.step, now=record.created)
                entered += 1
        for digest in missing:
            ledger.lost(digest, "its record is missing", now=now)
    return Reconciled(entered, len(missing))


def without_entry(blobs: BlobStore, database: Database) -> list[bytes]:
    """Return the newest records that the log does not know, newest first, up to the first one that it knows.

    Older entries may have been dropped from the log, which is bounded.
    """
    digests = blobs.digests()[:ENTRIES_MAX]
    return newer(digests, database.ledger.knows, is_trimmed=database.ledger.is_trimmed)


def newer(digests: Sequence[bytes], knows: Callable[[bytes], bool], *, is_trimmed: bool) -> list[bytes]:
    """Return those before the first that the log `knows`. None if it knows none and has dropped entries:
    strangers can cause so many rejections that the log forgets all records."""
    found = list(takewhile(lambda digest: not knows(digest), digests))
    return [] if is_trimmed and len(found) == len(digests) else found


def without_file(entered: Sequence[bytes], held: Container[bytes]) -> list[bytes]:
    """Return the digests of entries whose record was lost rather than dropped. `entered`: oldest first.

    The store drops its oldest records, but never all of them. The lost ones are therefore those missing after
    the oldest record held, or all of them if none is held.
    """
    oldest = next((index for index, digest in enumerate(entered) if digest in held), 0)
    return [digest for digest in entered[oldest:] if digest not in held]


def own_record(envelope: bytes, own: PeerId) -> AnyRecord | None:
    """Return the record in `envelope` if `own` signed it, otherwise None."""
    try:
        record, publisher = open_record(envelope)
    except RejectedRecord:
        return None
    return record if publisher == own else None
