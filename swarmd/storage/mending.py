"""`swarmd check --repair`: sets damaged parts aside, and makes ledger and records agree.

Called under the home's lock, with the findings of `checking`. Deletes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from swarmd.storage.blobs import BlobStore
from swarmd.storage.checking import RECORDS_BYTES_ANY, Finding
from swarmd.storage.database import SUFFIXES, Database
from swarmd.storage.durable import disk_error, set_aside
from swarmd.storage.home import Home
from swarmd.storage.reconciling import reconcile


def mend(home: Home, findings: Sequence[Finding], *, now: float) -> list[str]:
    """Repair what is damaged. Return what was done, one sentence each. Raises ConfigError, StorageError."""
    done = []
    for finding in findings:
        if finding.state == "damaged" and finding.part != "ledger":
            suffixes = SUFFIXES if finding.path == home.database_path else ()
            try:
                aside = set_aside(finding.path, with_suffixes=suffixes)
            except OSError as error:
                raise disk_error(f"set {finding.path} aside", error) from error
            done.append(f"{finding.part} is kept as {aside}")
    if any(finding.part == "ledger" and finding.is_wrong for finding in findings):
        done.append(_reconcile(home, now))
    return done


def _reconcile(home: Home, now: float) -> str:
    blobs = BlobStore(home.records_path, RECORDS_BYTES_ANY)
    with Database(home.database_path) as database:
        found = reconcile(database, blobs, home.key().peer_id, now=now)
    return f"ledger: {found.entered} records entered, {found.lost} entries marked as lost"
