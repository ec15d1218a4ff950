"""The sandbox around the worker, outermost layer first. Each layer works without the others.

    process     a separate interpreter: empty environment, empty working directory, no inherited descriptors
    limits      address space, CPU time, file size 0, descriptors, processes, no core dumps; lower priority
    Landlock    (Linux 5.13+) opens files only for reading, below the interpreter and the packages; no TCP
    seccomp     (Linux, x86-64 and arm64) an allow list without sockets, execve, ptrace or writable opens;
                for a child that handles hostile text, also without fork, kill and prctl
    audit hook  the same rules again in the interpreter, on every platform; functions that raise no audit
                event are removed
    programs    text is compiled only if it is a literal, arithmetic or sympy's form of a formula

Call `confine_worker` once, after all imports, and `confine_generator` or `confine_scorer` in each forked
child. Answers that are programs run in a stricter sandbox: `cell`.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import signal
import site
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path

from swarmd.tasks.sandbox import kernel, seccomp
from swarmd.tasks.sandbox.audit import refuse_side_effects
from swarmd.tasks.sandbox.limits import lower
from swarmd.tasks.sandbox.programs import refuse_programs
from swarmd.tasks.sandbox.syscalls import COMPUTE, WORKER
from swarmd.tasks.sandbox.unaudited import Place, find_unaudited

ADDRESS_SPACE_BYTES = 2 * 2**30  # the warm worker maps 0.2 GiB; the largest dataset needs less than 0.5
DESCRIPTORS = 64
SCORER_ADDRESS_SPACE_BYTES = 2**30
LITERALS_ONLY = (
    "answers that are not plain literals score 0 here, and no programs run, because no system-call filter "
    "confines hostile text"
)
_SYSTEM_FILES = ("/usr/share/zoneinfo", "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")


class Sandbox:
    """The layers available on this platform, determined once. `missing` lists what it lacks."""

    def __init__(self, extra_readable: Iterable[str], priority: int = 0) -> None:
        paths = map(os.path.realpath, [*_interpreter_paths(), *extra_readable])
        self._readable = [path for path in dict.fromkeys(paths) if Path(path).exists()]
        self._landlock = kernel.landlock_version() if sys.platform == "linux" else 0
        self._priority = priority
        self._child_filter = b""
        self._unaudited: list[Place] = []
        self.missing: list[str] = []

    @property
    def literals_only(self) -> bool:
        """Whether no kernel filter confines scorers. They must then not see text that may be a program."""
        return not self._child_filter

    def confine_worker(self) -> None:
        """Confine the process that forks the children. Irreversible."""
        os.nice(self._priority)
        lower(resource.RLIMIT_CORE, 0)
        lower(resource.RLIMIT_NOFILE, DESCRIPTORS)
        if sys.platform == "linux":
            lower(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
            kernel.forbid_new_privileges()
        else:
            self.missing.append(f"{sys.platform} cannot limit the memory of a process")
        if self._landlock:
            kernel.restrict_to_reading(self._readable, self._landlock)
        else:
            self.missing.append("no Landlock: only an audit hook protects files")
        self._filter_worker()
        if self.literals_only:
            self.missing.append(LITERALS_ONLY)
            # Only in this case, because it costs each child milliseconds; a filter already refuses these
            # functions.
            self._unaudited = find_unaudited()

    def _filter_worker(self) -> None:
        if not seccomp.is_supported():
            self.missing.append(
                f"no system-call filter on {sys.platform} {platform.machine()}: only an audit hook is used"
            )
            return
        self._child_filter = seccomp.build_filter(COMPUTE, may_clone=False)
        try:
            kernel.install_filter(seccomp.build_filter(WORKER, may_clone=True))
        except OSError as error:
            self._child_filter = b""
            self.missing.append(
                f"the kernel refused the system-call filter ({error}): only an audit hook is used"
            )

    def confine_generator(self, _seconds: float) -> None:
        """Confine a child that regenerates questions, running our code and the source's, and forks
        scorers."""
        lower(resource.RLIMIT_FSIZE, 0)
        if sys.platform == "linux":
            kernel.die_with_parent(signal.SIGKILL)

    def confine_scorer(self, seconds: float) -> None:
        """Confine a child that handles hostile text for at most `seconds` from now. Irreversible."""
        self.confine_generator(seconds)
        if sys.platform == "linux":
            lower(resource.RLIMIT_AS, SCORER_ADDRESS_SPACE_BYTES)
        lower(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds) + 1)
        lower(resource.RLIMIT_NPROC, 0)
        if self._child_filter:
            kernel.install_filter(self._child_filter)
        # Last, because these hooks refuse ctypes, which installs the filter.
        refuse_programs()
        refuse_side_effects(self._readable, self._unaudited)  # refuses further hooks


def _interpreter_paths() -> list[str]:
    """The standard library and installed packages, but never a checkout, which may contain a home."""
    paths = sysconfig.get_paths()
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    known = [
        paths["stdlib"],
        paths["platstdlib"],
        paths["purelib"],
        paths["platlib"],
        *site.getsitepackages(),
    ]
    return [*known, *packages, *_SYSTEM_FILES]
