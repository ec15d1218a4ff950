"""HOME/steps.jsonl: one line per step, for programs that do not read SQLite. Bounded by rotation.

Lines are written completely or not at all, even if the disk is full. An unwritable file stops nothing,
because the database has the metrics too.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from swarmd.storage.durable import Report, log_problem, remedy

FILE_BYTES_MAX = 16 * 2**20
"""About 20,000 steps at 800 bytes. The file then becomes steps.1.jsonl and a new one starts."""

FILES_KEPT = 4
"""steps.jsonl, and steps.1.jsonl to steps.3.jsonl, the oldest: 64 MiB in total."""


class StepsFile:
    """Appends lines. Opens the file for each line, so one that was moved or deleted is created again."""

    def __init__(self, path: Path, on_problem: Report = log_problem) -> None:
        self._path = path
        self._on_problem = on_problem
        self._is_refused = False
        self._is_first = True

    def write(self, line: str) -> None:
        """Append `line` and a newline. A problem is reported once, until a line can be written again."""
        try:
            self._append(f"{line}\n".encode())
            self._is_refused = False
        except OSError as error:
            if not self._is_refused:
                self._on_problem(
                    f"{self._path} cannot be written ({remedy(error).split(';')[0]}): no lines are added "
                    "until it can; swarmd.db has the metrics of every step"
                )
            self._is_refused = True

    def _append(self, data: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and self._is_first and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data  # a power cut left a partial line
            if size and size + len(data) > FILE_BYTES_MAX:
                self._rotate()
                fresh = os.open(self._path, flags, 0o600)
                os.close(descriptor)
                descriptor, size = fresh, 0
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._is_first = False
        finally:
            os.close(descriptor)

    def _rotate(self) -> None:
        for number in range(FILES_KEPT - 1, 0, -1):
            older = self._path.with_suffix(f".{number}.jsonl")
            newer = self._path.with_suffix(f".{number - 1}.jsonl") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
