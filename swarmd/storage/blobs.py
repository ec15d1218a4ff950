"""Record envelopes on disk, each under the SHA-256 of its bytes.

The store drops the oldest first. It never serves a damaged one, and sets it aside. It holds any envelope that
it is given, own or external, and does not verify signatures. Only a digest in hex ever becomes a file name.
One process writes (the daemon that holds the home's lock, from one thread); others may read at the same time.
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
"""The least that a file takes on common file systems. The bound counts whole blocks, so that many tiny
records cannot take many times the space they were granted."""

DIGEST_BYTES = 32
BLOB_NAME = re.compile(r"[0-9a-f]{64}")


def _disk_bytes(size: int) -> int:
    return max(1, -(-size // BLOCK_BYTES)) * BLOCK_BYTES


def _scan(directory: Path) -> Iterator[tuple[int, str, int]]:
    """(mtime in ns, name, size in bytes) of each blob. One that the writer drops meanwhile is skipped."""
    for path in directory.iterdir():
        if BLOB_NAME.fullmatch(path.name):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime_ns, path.name, status.st_size


class BlobStore:
    """A bounded directory of envelopes."""

    def __init__(self, directory: Path, bytes_max: int, on_problem: Report = log_problem) -> None:
        """`bytes_max` bounds the disk space in bytes, in whole blocks. Raises StorageError."""
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
        """Space taken, in whole blocks; never above `bytes_max`, except in a store that was just shrunk."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, digest: object) -> bool:
        return digest in self._sizes

    def put(self, envelope: bytes) -> bytes:
        """Store `envelope`, dropping the oldest to make room; returns its digest. One that is held already
        keeps its age. Raises StorageError when the disk refuses, ValueError above `bytes_max`."""
        needed = _disk_bytes(len(envelope))
        if needed > self._bytes_max:
            raise ValueError(f"an envelope of {len(envelope)} bytes is above the store's {self._bytes_max}")
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
        """The envelope with this digest, or None. One that changed on disk is set aside and reported."""
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
        """As `get`, but for any thread: what is missing or damaged is None, and stays as it is."""
        try:
            envelope = self._path(digest).read_bytes()
        except OSError:  # `get` reports it when it is to be served
            return None
        return envelope if digest_of(envelope) == digest else None

    def newest(self) -> bytes | None:
        """Digest of the envelope stored last; None if there is none."""
        return next(reversed(self._sizes), None)

    def digests(self) -> list[bytes]:
        """Digests of all envelopes, newest first."""
        return list(reversed(self._sizes))

    def prune(self, bytes_max: int) -> int:
        """Drop the oldest until at most `bytes_max` bytes of disk are taken; returns how many."""
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
        """Date the blob after all others: clocks tick coarsely and go back, and the order must outlive us."""
        self._newest_ns = max(path.stat().st_mtime_ns, self._newest_ns + 1)
        os.utime(path, ns=(self._newest_ns, self._newest_ns))

    def _remove(self, digest: bytes) -> None:
        self._path(digest).unlink(missing_ok=True)
        self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        self._bytes -= self._sizes.pop(digest, 0)
