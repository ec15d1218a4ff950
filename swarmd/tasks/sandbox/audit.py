"""An audit hook (PEP 578) that refuses everything a scorer has no reason to do. One layer of several.

Python code cannot remove the hook, but the hook sees only what CPython reports; `unaudited` removes the
functions that are not reported. A native bug could bypass both. If the kernel has seccomp and Landlock, they
suffice on their own; elsewhere no text is ever run (`swarmd.tasks.worker`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from swarmd.tasks.sandbox.unaudited import REFUSED_MODULES, Place, find_unaudited, take_away

_REFUSED_PREFIXES = (
    "socket.", "subprocess.", "ctypes.", "os.system", "os.exec", "os.fork", "os.spawn", "os.posix_spawn",
    "os.kill", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.ch", "os.lchown", "os.lockf", "os.putenv", "os.unsetenv", "os.setxattr", "os.removexattr", "os.utime",
    "pty.", "shutil.", "tempfile.", "mmap.", "signal.pthread_kill", "resource.prlimit", "resource.setrlimit",
    "sqlite3.", "webbrowser.", "urllib.", "ftplib.", "http.", "smtplib.", "imaplib.", "poplib.", "syslog.",
    "fcntl.", "cpython.run_", "sys.setprofile", "sys.settrace", "sys.addaudithook", "code.__new__", "gc.",
    "pickle.find_class",
)  # fmt: skip
_LISTING = ("os.listdir", "os.scandir")  # allowed below `readable`: the import system needs it
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def refuse_side_effects(readable: Sequence[str], places: Sequence[Place] | None = None) -> None:
    """Refuse processes, sockets, signals, ctypes and changes; allow reads only below `readable` (real paths).

    `places` is the result of `find_unaudited`, if the caller already has it.
    """

    def may_read(path: object) -> bool:
        if isinstance(path, int):
            return True  # a descriptor that is already open
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]  # what `open` accepted is a path
        return any(real == root or real.startswith(root + os.sep) for root in readable)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if (isinstance(flags, int) and flags & _CHANGES) or not may_read(path):
                raise PermissionError(f"the sandbox refuses to open {path!r}")
        elif event == "import" and args[0] in REFUSED_MODULES:
            raise PermissionError(f"the sandbox refuses to import {args[0]!r}")
        elif event in _LISTING:
            if not may_read(args[0] if args[0] is not None else Path.cwd()):
                raise PermissionError(f"the sandbox refuses to list {args[0]!r}")
        elif event.startswith(_REFUSED_PREFIXES):
            raise PermissionError(f"the sandbox refuses {event}")

    take_away(find_unaudited() if places is None else places)
    sys.addaudithook(hook)
