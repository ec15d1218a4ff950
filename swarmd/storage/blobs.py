"""Record envelopes on disk, each stored under the SHA-256 of its bytes.

When full, the store drops its oldest envelopes. It never serves a damaged one, but sets it aside. It holds
any envelope it is given, own or external, without verifying signatures. Only hex digests become file names.
One process writes (the daemon that holds the home's lock, from one thread); others can read at the same time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from protocol import digest_of
from swarmd.storage.durable import Report, disk_error, log_problem, set_aside, write_whole

BLOCK_BYTES = 4_096
"""The least space that a file takes on common file systems. The bound counts whole blocks, so that many
tiny records cannot take many times the space allowed.
"""

DIGEST_BYTES = 32
BLOB_NAME = re.compile(r"[0-9a-f]{64}")


def _disk_bytes(size: int) -> int:
    return max(1, -(-size // BLOCK_BYTES)) * BLOCK_BYTES


def _scan(directory: Path) -> Iterator[tuple[int, str, int]]:
    """Yield (mtime in ns, name, size in bytes) of each blob, skipping any that the writer drops."""
    for path in directory.iterdir():
        if BLOB_NAME.fullmatch(path.name):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime_ns, path.name, status.st_size


class BlobStore:
    """A bounded directory of envelopes."""

    def __init__(self, directory: Path, bytes_max: int, on_problem: Report = log_problem) -> None:
        """`bytes_max`: the bound on disk space in bytes, counted in whole blocks. Raises StorageError."""
        self._directory = directory
        self._bytes_max = bytes_max
        self._on_problem = on_problem
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = sorted(_scan(directory))
        except OSError as error:
            raise disk_error(f"list the records in {directory}", error) from error
        self._sizes = {bytes.fromhex(name): _disk_bytes(size) for _, name, size in found}  # oldest first
        self._bytes = sum(self._sizes.values())
        self._newest_ns = found[-1][0] if found else 0

    @property
    def disk_bytes(self) -> int:
        """Disk space in use, in whole blocks. At most `bytes_max`, unless the bound was just lowered."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, digest: object) -> bool:
        return digest in self._sizes

    def put(self, envelope: bytes) -> bytes:
        """Store `envelope`, dropping the oldest to make room, and return its digest. One that is already held
        keeps its age.

        Raises StorageError if the disk fails, ValueError above `bytes_max`.
        """
        needed = _disk_bytes(len(envelope))
        if needed > self._bytes_max:
            raise ValueError(f"an envelope of {len(envelope)} bytes exceeds the limit of {self._bytes_max}")
        digest = digest_of(envelope)
        if digest in self._sizes:
            return digest
        path = self._path(digest)
        try:
            while self._bytes + needed > self._bytes_max:
                self._remove(next(iter(self._sizes)))
            write_whole(path, envelope)
            self._order_last(path)
        except OSError as error:
            raise disk_error(f"store the record {path}", error) from error
        self._sizes[digest] = needed
        self._bytes += needed
        return digest

    def get(self, digest: bytes) -> bytes | None:
        """Return the envelope with this digest, or None. A damaged one is set aside and reported."""
        if len(digest) != DIGEST_BYTES:
            return None
        path = self._path(digest)
        try:
            envelope = path.read_bytes()
            if digest_of(envelope) == digest:
                return envelope
            aside = set_aside(path)
        except FileNotFoundError:
            self._forget(digest)
            return None
        except OSError as error:
            self._on_problem(str(disk_error(f"read the record {path}", error)))
            return None
        self._forget(digest)
        self._on_problem(f"the record {path} is damaged: it is not served, and is kept as {aside}")
        return None

    def peek(self, digest: bytes) -> bytes | None:
        """Like `get`, for any thread: returns None for a damaged envelope, but leaves it alone."""
        try:
            envelope = self._path(digest).read_bytes()
        except OSError:  # `get` reports it when it is to be served
            return None
        return envelope if digest_of(envelope) == digest else None

    def newest(self) -> bytes | None:
        """Return the digest of the envelope stored last, or None."""
        return next(reversed(self._sizes), None)

    def digests(self) -> list[bytes]:
        """Return the digests of all envelopes, newest first."""
        return list(reversed(self._sizes))

    def prune(self, bytes_max: int) -> int:
        """Drop the oldest envelopes until at most `bytes_max` bytes of disk are in use. Return how many."""
        before = len(self._sizes)
        try:
            while self._bytes > bytes_max:
                self._remove(next(iter(self._sizes)))
        except OSError as error:
            raise disk_error(f"drop old records in {self._directory}", error) from error
        return before - len(self._sizes)

    def _path(self, digest: bytes) -> Path:
        return self._directory / digest.hex()

    def _order_last(self, path: Path) -> None:
        """Date the blob last. Clocks are coarse and can go back, but the order must survive restarts."""
        self._newest_ns = max(path.stat().st_mtime_ns, self._newest_ns + 1)
        os.utime(path, ns=(self._newest_ns, self._newest_ns))

    def _remove(self, digest: bytes) -> None:
        self._path(digest).unlink(missing_ok=True)
        self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        self._bytes -= self._sizes.pop(digest, 0)
