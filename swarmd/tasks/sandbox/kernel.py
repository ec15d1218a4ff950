"""Calls the Linux kernel's confinement through libc: prctl, Landlock and seccomp. Holds no policy.

See prctl(2), landlock(7) and seccomp(2). Bind the functions before the audit hook refuses ctypes.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
# The same numbers on every architecture, because they are newer than the unified table.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# ABI version at which each bit of the three masks appeared (include/uapi/linux/landlock.h).
_FILE_RIGHTS = [(1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15)]
_NETWORK_RIGHTS = [(4, 0b11)]  # bind, connect (TCP)
_SCOPES = [(6, 0b11)]  # abstract unix sockets, signals

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _prctl(option: int, *values: object) -> None:
    if _libc.prctl(option, *values) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _syscall(number: int, *values: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *values))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def forbid_new_privileges() -> None:
    """Prevent set-uid programs from raising this process's privileges; seccomp and Landlock require it."""
    _prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def die_with_parent(signal_number: int) -> None:
    """Receive `signal_number` when the parent ends. Not inherited by children."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number))


def install_filter(program: bytes) -> None:
    """Filter the system calls of this process and its children. Raises OSError if there is no seccomp."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _prctl(
        _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), header, ctypes.c_ulong(0), ctypes.c_ulong(0)
    )


def landlock_version() -> int:
    """The kernel's Landlock ABI version; 0 if it has no Landlock."""
    try:
        return _syscall(
            _LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION_FLAG)
        )
    except OSError:
        return 0


def restrict_to_reading(paths: Iterable[str], version: int) -> None:
    """Allow opening only files below `paths`, for reading. If the ABI can, also forbid TCP and outside
    signals."""
    masks = [_mask(rights, version) for rights in (_FILE_RIGHTS, _NETWORK_RIGHTS, _SCOPES)]
    fields = 1 if version < 4 else 2 if version < 6 else 3
    attributes = struct.pack(f"={fields}Q", *masks[:fields])
    ruleset = _syscall(
        _LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    try:
        for path in map(Path, paths):
            _allow_reading(ruleset, path)
        _syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _mask(rights: list[tuple[int, int]], version: int) -> int:
    return sum(bits for since, bits in rights if version >= since)


def _allow_reading(ruleset: int, path: Path) -> None:
    rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, fd)
        _syscall(
            _LANDLOCK_ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            rule,
            ctypes.c_uint32(0),
        )
    finally:
        os.close(fd)
