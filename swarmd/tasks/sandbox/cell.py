"""The walls round one stranger's program: it computes, and writes to the one pipe that it was given.

    limits      address space, CPU time, file size 0, no core dumps
    Landlock    (Linux 5.13+) no file opens at all
    seccomp     no file, process, signal, timer or descriptor of its own; nothing that waits, so a program
                cannot let the clock run without using CPU time
    audit hook  the same rules again in the interpreter

A scorer has to read modules and is told what is right; a program needs neither. So its filter is the smaller
one. There is no second choice: where the kernel has no filter, no program runs (`swarmd.tasks.worker`).
"""

from __future__ import annotations

import math
import os
import resource
import signal
import time

from swarmd.tasks.sandbox import kernel, seccomp
from swarmd.tasks.sandbox.audit import refuse_side_effects
from swarmd.tasks.sandbox.limits import lower
from swarmd.tasks.sandbox.syscalls import CELL, WORKER

ADDRESS_SPACE_BYTES = 256 * 2**20  # the interpreter maps 70 MiB; the largest honest program needs one more
DESCRIPTORS = 64


def confine_nursery(priority: int) -> None:
    """For the process that forks the cells. It reads no file from now on. Irreversible.

    Raises OSError if the kernel has no system-call filter.
    """
    os.nice(priority)
    kernel.die_with_parent(signal.SIGKILL)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_NOFILE, DESCRIPTORS)
    kernel.forbid_new_privileges()
    if version := kernel.landlock_version():
        kernel.restrict_to_reading([], version)
    kernel.install_filter(seccomp.build_filter(WORKER, may_clone=True, may_open=False))


def limit_cell(cpu_seconds: float) -> None:
    """For a forked child that will run a program for `cpu_seconds` of CPU time. Irreversible."""
    kernel.die_with_parent(signal.SIGKILL)
    lower(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
    lower(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_seconds) + 1)
    lower(resource.RLIMIT_NPROC, 0)


def close_cell() -> None:
    """The last step before the program runs: timers that were set stay, and cannot be changed."""
    kernel.install_filter(seccomp.build_filter(CELL, may_clone=False, may_open=False))
    refuse_side_effects([], places=[])
