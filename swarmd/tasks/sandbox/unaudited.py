"""Takes away from a scorer's interpreter the functions that no audit event reports.

`_posixsubprocess.fork_exec` starts programs, `signal.pidfd_send_signal` sends signals, `os.mkfifo` and
`_posixshmem` make files, and a function that ctypes has bound calls the kernel, all without an audit event.
Of `os` an allow list stays: what CPython adds is taken away without our knowing it. A second wall: text is
not run as a program in the first place (`programs`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import BuiltinFunctionType, ModuleType
from typing import Any, NoReturn

Place = tuple[dict[str, Any], str]
"""A module's namespace and a name in it."""

_NATIVE = (
    "_posixsubprocess", "_posixshmem", "_multiprocessing", "_ctypes", "_socket", "_ssl", "_signal",
    "_sqlite3", "_dbm", "_gdbm", "_curses", "_testcapi", "_testinternalcapi", "_testmultiphase",
    "_xxsubinterpreters", "_interpreters", "_scproxy", "faulthandler", "fcntl", "mmap", "readline",
    "resource", "syslog", "termios",
)  # fmt: skip
_ON_TOP = ("ctypes", "multiprocessing", "signal", "socket", "subprocess", "swarmd.tasks.sandbox.kernel")
_SYSTEM = ("posix", "nt")
# What importing, reading modules and reporting a result needs. What changes anything is audited besides.
_KEPT = frozenset({
    "_exit", "_path_normpath", "access", "close", "cpu_count", "fspath", "fstat", "get_terminal_size",
    "getcwd", "getcwdb", "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom", "getuid", "isatty",
    "listdir", "lseek", "lstat", "open", "read", "readlink", "sched_getaffinity", "scandir", "stat",
    "strerror", "sysconf", "times", "uname", "urandom", "write",
})  # fmt: skip


def find_unaudited() -> list[Place]:
    """Where the functions are in the modules that are loaded now. Some milliseconds: once, before forking."""
    return [
        (namespace, name)
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType)
        for namespace in [vars(module)]
        for name, value in namespace.items()
        if isinstance(value, BuiltinFunctionType) and _is_taken(value)
    ]


def take_away(places: Sequence[Place]) -> None:
    """Nobody in this process calls them any more, nor imports the modules that hold them. Irreversible."""
    for namespace, name in places:
        namespace[name] = _refused
    for name, module in list(sys.modules.items()):
        if name in _NATIVE or any(name == top or name.startswith(f"{top}.") for top in _ON_TOP):
            sys.modules[name] = None  # type: ignore[assignment]  # the import system's own mark for "refused"
            if name.partition(".")[0] == "ctypes" or name.endswith(".kernel"):
                vars(module).clear()  # it holds functions of libc
    for name in (*_NATIVE, *_ON_TOP):
        sys.modules[name] = None  # type: ignore[assignment]


def _is_taken(function: BuiltinFunctionType) -> bool:
    module = function.__module__
    return module in _NATIVE or (module in _SYSTEM and function.__name__ not in _KEPT)


def _refused(*_arguments: object, **_options: object) -> NoReturn:
    raise PermissionError("the sandbox has taken this function away")
