"""Keeps the worker's memory in huge pages, so that forking a child takes half as long (Linux).

A fork copies one entry per page of private memory, and the child's end frees them again: 17,000 entries for
the 67 MB of a warm worker. A page of 2 MiB is one entry. See madvise(2).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # the second: Linux 6.1+; before, the kernel does it in its own time
_HUGE_PAGE_BYTES = 2 * 2**20


def use_huge_pages() -> None:
    """Ask the kernel for them. It may refuse; nothing else changes then. Call before the confinement, which
    takes /proc away."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    for start, size in _large_mappings():
        for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice)


def _large_mappings() -> Iterator[tuple[int, int]]:
    """Start and size, in bytes, of the private writable mappings without a file that can hold a huge page."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, rights, _offset, _device, inode, *_name = line.split(maxsplit=5)
        start, end = (int(each, 16) for each in addresses.split("-"))
        if rights == "rw-p" and inode == "0" and end - start >= _HUGE_PAGE_BYTES:
            yield start, end - start
