"""Builds a seccomp filter (Linux, x86-64 and arm64) from a list of system calls. All others fail with EPERM.

Sources: seccomp(2), and Documentation/userspace-api/seccomp_filter.rst in the Linux tree. Filters only
accumulate: a child of a filtered process can give up more calls, but never regain any.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys
from collections.abc import Collection

from swarmd.tasks.sandbox.syscalls import CLONE, CLONE3, NUMBERS, OPEN_READ_ONLY

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of NUMBERS, AUDIT_ARCH_*
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32_BIT = 0x40000000  # the x32 calls have other numbers under the same architecture
_OPEN_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Every new namespace of sched.h: mount, cgroup, uts, ipc, user, pid, network.
_CLONE_NAMESPACES = 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000


def is_supported() -> bool:
    """Whether this machine's system call numbers are known."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES and struct.calcsize("P") == 8


def build_filter(allowed: Collection[str], *, may_clone: bool, may_open: bool = True) -> bytes:
    """The BPF program as the kernel expects it: struct sock_filter[]."""
    column, architecture = _ARCHITECTURES[platform.machine()]
    number = {name: numbers[column] for name, numbers in NUMBERS.items()}
    refuse = _ERRNO | errno.EPERM
    program = [
        _op(_LOAD, _ARCHITECTURE_AT), _op(_JUMP_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT), _op(_JUMP_ABOVE, _X32_BIT, 0, 1), _op(_RETURN, refuse),
        *_if_number(number[CLONE3], [_op(_RETURN, _ERRNO | errno.ENOSYS)]),
    ]  # fmt: skip
    if may_open:
        program += _if_number(number[OPEN_READ_ONLY], _unless_bits(2, _OPEN_CHANGES, refuse))
    if may_clone:
        program += _if_number(number[CLONE], _unless_bits(0, _CLONE_NAMESPACES, refuse))
    for name in sorted(allowed):
        if (value := number[name]) is not None:
            program += _if_number(value, [_op(_RETURN, _ALLOW)])
    return b"".join([*program, _op(_RETURN, refuse)])


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _if_number(number: int | None, then: list[bytes]) -> list[bytes]:
    assert number is not None  # noqa: S101  the special calls exist on both architectures
    return [_op(_JUMP_EQUAL, number, 0, len(then)), *then]


def _unless_bits(argument: int, bits: int, refuse: int) -> list[bytes]:
    """Allow unless one of `bits` is set in the low half of the argument (both architectures: little
    endian)."""
    return [
        _op(_LOAD, _ARGUMENTS_AT + 8 * argument),
        _op(_JUMP_ANY_BIT, bits, 0, 1),
        _op(_RETURN, refuse),
        _op(_RETURN, _ALLOW),
    ]
