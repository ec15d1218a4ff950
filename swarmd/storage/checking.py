"""Inspects every part of a home without changing any: what is there, and what is wrong with it.

It only reads, so it can run beside a daemon. The daemon may drop a file in the meantime, so a file that is
gone by the time it is read is skipped. Repairs are in `swarmd.storage.mending`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from protocol import PeerId, VerifiedCharter, digest_of
from swarmd.errors import ConfigError, StorageError
from swarmd.storage.blobs import BLOB_NAME, BlobStore
from swarmd.storage.checkpoint_files import CorruptCheckpointError, load_checkpoint
from swarmd.storage.checkpoints import Checkpoints
from swarmd.storage.database_trouble import trouble_in
from swarmd.storage.durable import DAMAGED, FORMER, disk_error, remedy
from swarmd.storage.home import Home
from swarmd.storage.ledger import IS_TRIMMED, RECORDS
from swarmd.storage.read_only import read_only
from swarmd.storage.reconciling import newer, own_record, without_file
from swarmd.storage.versions import database_version

RECORDS_BYTES_ANY = 2**62
"""No bound: nothing is stored, so nothing is dropped."""

ENTERED_S = 2.0
"""Seconds from the records of a step to their entries: one transaction, on the slowest disk."""

State = Literal["whole", "absent", "kept", "leftover", "damaged", "wrong"]
"""`kept`: set aside earlier. `leftover`: of an interrupted write; the next write replaces it. `damaged`:
provably not what was written; a repair sets it aside. `wrong`: anything else, for a person to fix.
"""


@dataclass(frozen=True)
class Finding:
    """The state of one part of a home."""

    part: str
    state: State
    detail: str
    path: Path
    size: int = 0
    """Bytes on disk."""

    @property
    def is_wrong(self) -> bool:
        return self.state in ("damaged", "wrong")


def look(
    home: Home, *, is_locked: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Finding]:
    """Inspect all parts in turn. Blocks for as long as it takes to read them. `is_locked`: no daemon runs."""
    yield from _directory(home)
    yield _key(home)
    yield _manifest(home)
    yield _signed("charter.signed", home.charter_path, home.charter)
    yield _signed("news.signed", home.news_path, home.news)
    yield _port(home)
    for path in (home.rates_path, home.budgets_path):
        yield _remembered(path)
    yield _database(home.database_path)
    yield from _checkpoints(home)
    yield from _records(home)
    yield _ledger(home, None if is_locked else sleep)
    yield from _aside(home)


def _finding(part: str, path: Path, look: Callable[[], tuple[State, str]]) -> Finding:
    """Return the result of `look`. A missing file is absent; a disk error is reported."""
    try:
        state, detail = look()
        return Finding(part, state, detail, path, _size(path))
    except FileNotFoundError:
        return Finding(part, "absent", "", path)
    except OSError as error:
        return Finding(part, "wrong", remedy(error), path)
    except (ConfigError, StorageError) as error:
        return Finding(part, "wrong", str(error), path)


def _directory(home: Home) -> Iterator[Finding]:
    def state() -> tuple[State, str]:
        mode = home.path.stat().st_mode & 0o777
        if mode & 0o022:
            return "wrong", f"other users can write to it (mode {mode:o}): chmod go-w"
        return "whole", f"mode {mode:o}"

    yield _finding("home", home.path, state)


def _key(home: Home) -> Finding:
    def state() -> tuple[State, str]:
        if not home.identity_path.exists():
            traces = home.traces()
            why = (
                "missing, but a peer has used this home: `swarmd key restore FILE`, or start with "
                "--new-identity"
            )
            return ("wrong", why) if traces else ("absent", "")
        return "whole", home.key().peer_id

    return _finding("identity.key", home.identity_path, state)


def _manifest(home: Home) -> Finding:
    def state() -> tuple[State, str]:
        manifest = home.manifest()
        if manifest is None:
            return "absent", ""
        known = _fact(home.database_path, "swarm")
        if known not in (None, manifest.swarm_id.hex()):
            return "wrong", f"this home belongs to the swarm {str(known)[:12]}: restore a backup"
        return "whole", f"{manifest.name} ({manifest.swarm_id.hex()[:12]})"

    return _finding("manifest.cbor", home.manifest_path, state)


def _signed(part: str, path: Path, read: Callable[[], VerifiedCharter | None]) -> Finding:
    def state() -> tuple[State, str]:
        found = read()
        return ("absent", "") if found is None else ("whole", f"version {found.charter.version}")

    return _finding(part, path, state)


def _port(home: Home) -> Finding:
    def state() -> tuple[State, str]:
        port = home.read_port()
        if port is None and home.port_path.exists():
            return "damaged", "not a port: the next start chooses a new one"
        return ("absent", "") if port is None else ("whole", str(port))

    return _finding("port", home.port_path, state)


def _remembered(path: Path) -> Finding:
    """Check the rates or budgets, which a peer measures again if they are missing."""

    def state() -> tuple[State, str]:
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            return "damaged", f"not JSON ({error}): the next start measures it again"
        return "whole", ""

    return _finding(path.name, path, state)


def _database(path: Path) -> Finding:
    def state() -> tuple[State, str]:
        trouble = trouble_in(path, thorough=True)
        if trouble is None:
            return "whole", f"version {database_version(path)}"
        return "damaged" if trouble.is_damage else "wrong", f"{trouble.what}: {trouble.remedy}"

    return _finding("swarmd.db", path, state)


def _fact(path: Path, name: str) -> str | None:
    try:
        with read_only(path) as sqlite:
            rows = sqlite.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchall()
    except sqlite3.DatabaseError:
        return None  # `_database` reports what is wrong with it
    return rows[0][0] if rows else None


def _checkpoints(home: Home) -> Iterator[Finding]:
    for path in Checkpoints(home.checkpoints_path, 1).paths():
        finding = _finding(f"checkpoints/{path.name}", path, partial(_checkpoint, path))
        if path.exists():  # otherwise a daemon that is training has dropped it
            yield finding


def _checkpoint(path: Path) -> tuple[State, str]:
    try:
        return "whole", f"step {load_checkpoint(path).step}"
    except CorruptCheckpointError as error:
        return "damaged", str(error)


def _records(home: Home) -> Iterator[Finding]:
    """One finding for all whole records together, and one for each other record."""
    count = size = 0
    for path in _entries(home.records_path):
        if not BLOB_NAME.fullmatch(path.name):
            continue
        finding = _finding(f"records/{path.name}", path, partial(_record, path))
        if finding.state == "whole":
            count, size = count + 1, size + finding.size
        elif finding.state != "absent":
            yield finding
    yield Finding("records/", "whole", f"{count} whole", home.records_path, size)


def _record(path: Path) -> tuple[State, str]:
    if digest_of(path.read_bytes()).hex() != path.name:
        return "damaged", "does not match its hash"
    return "whole", ""


def _ledger(home: Home, sleep: Callable[[float], None] | None) -> Finding:
    """Check whether ledger and records agree; see `reconciling`. A daemon enters the records of a step a
    moment after it wrote them, so only what two looks find is wrong. `sleep`: None if no daemon runs.
    """

    def look() -> tuple[int, set[bytes], set[bytes]]:
        """Return the number of entries, the records without one, and the entries without a record."""
        with read_only(home.database_path) as sqlite:
            entered = [digest for digest, _ in sqlite.execute(RECORDS)]
            [(is_trimmed,)] = sqlite.execute(IS_TRIMMED)
        blobs = BlobStore(home.records_path, RECORDS_BYTES_ANY)
        known, own = frozenset(entered), home.key().peer_id
        unknown = newer(blobs.digests(), known.__contains__, is_trimmed=bool(is_trimmed))
        orphans = {digest for digest in unknown if _is_own(home.records_path / digest.hex(), own)}
        return len(entered), orphans, set(without_file(entered, blobs))

    def state() -> tuple[State, str]:
        if not home.database_path.stat().st_size:
            return "absent", ""
        count, orphans, missing = look()
        if sleep is not None and (orphans or missing):
            sleep(ENTERED_S)
            count, *again = look()
            orphans, missing = orphans & again[0], missing & again[1]
        if orphans or missing:
            return (
                "damaged",
                f"{len(orphans)} records without an entry, {len(missing)} entries without a record",
            )
        return "whole", f"{count} entries of records"

    try:
        return _finding("ledger", home.database_path, state)
    except sqlite3.DatabaseError as error:
        return Finding("ledger", "absent", f"not checked: {error}", home.database_path)


def _is_own(path: Path, own: PeerId) -> bool:
    try:
        return own_record(path.read_bytes(), own) is not None
    except FileNotFoundError:  # the daemon has just dropped it
        return False


def _aside(home: Home) -> Iterator[Finding]:
    for directory in (home.path, home.checkpoints_path, home.records_path):
        for path in _entries(directory):
            name = path.relative_to(home.path).as_posix()
            if path.name.startswith((DAMAGED, FORMER)):
                yield Finding(name, "kept", "set aside earlier; you can delete it", path, _size(path))
            elif path.name.startswith("."):
                yield Finding(
                    name,
                    "leftover",
                    "left by an interrupted write; the next write replaces it",
                    path,
                    _size(path),
                )


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise disk_error(f"list {directory}", error) from error


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files in a directory; 0 if it is gone."""
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.iterdir() if each.is_file())
        return path.stat().st_size
    except OSError:
        return 0
