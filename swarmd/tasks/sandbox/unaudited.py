"""Removes from a scorer's interpreter the functions that raise no audit event.

`_posixsubprocess.fork_exec` starts programs, `signal.pidfd_send_signal` sends signals, `os.mkfifo` and
`_posixshmem` create files, and functions bound by ctypes call the kernel, all without an audit event. Of
`os`, only the functions on an allow list remain, so any function that CPython adds later is removed too. This
is a second line of defence: text is not run as a program in the first place (`programs`).
"""

from __future__ import annotations

import _imp
import sys
from collections.abc import Sequence
from types import BuiltinFunctionType, ModuleType
from typing import Any, NoReturn

Place = tuple[dict[str, Any], str]
"""A module's namespace, and a name in it."""

_NATIVE = frozenset({
    "_posixsubprocess", "_posixshmem", "_multiprocessing", "_ctypes", "_socket", "_ssl", "_signal",
    "_sqlite3", "_dbm", "_gdbm", "_curses", "_testcapi", "_testinternalcapi", "_testmultiphase",
    "_xxsubinterpreters", "_interpreters", "_scproxy", "faulthandler", "fcntl", "mmap", "readline", "syslog",
    "termios", "posix", "nt",
})  # fmt: skip
REFUSED_MODULES = _NATIVE
"""Importing them again would bring back unaudited functions."""
_BOUND = ("ctypes", "swarmd.tasks.sandbox.kernel")
"""Modules with libc functions that ctypes has already bound, and with classes that can bind more."""
# Functions of posix that are needed to import and read modules and to report a result. Those among them that
# can change anything are audited.
_KEPT = frozenset({
    "_exit", "_path_normpath", "access", "close", "cpu_count", "fspath", "fstat", "get_terminal_size",
    "getcwd", "getcwdb", "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom", "getuid", "isatty",
    "listdir", "lseek", "lstat", "open", "read", "readlink", "sched_getaffinity", "scandir", "stat",
    "strerror", "sysconf", "times", "uname", "urandom", "write",
})  # fmt: skip


def find_unaudited() -> list[Place]:
    """Find the functions in all loaded modules. Takes milliseconds, so call it once, before forking."""
    modules = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    places = [
        (vars(module), name)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, BuiltinFunctionType) and _is_taken(value)
    ]
    for module in modules:
        if module.__name__ == _BOUND[1] or module.__name__.partition(".")[0] == _BOUND[0]:
            places += [(vars(module), name) for name in vars(module) if not name.startswith("__")]
    return [*places, (vars(_imp), "create_builtin")]


def take_away(places: Sequence[Place]) -> None:
    """Make these functions uncallable in this process. Irreversible."""
    for namespace, name in places:
        namespace[name] = _refused


def _is_taken(function: BuiltinFunctionType) -> bool:
    return function.__module__ in _NATIVE and not (
        function.__module__ in ("posix", "nt") and function.__name__ in _KEPT
    )


def _refused(*_arguments: object, **_options: object) -> NoReturn:
    raise PermissionError("the sandbox has removed this function")
