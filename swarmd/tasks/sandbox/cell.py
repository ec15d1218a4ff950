"""The sandbox around one stranger's program: it can compute, and write to the one pipe that it was given.

    limits      address space, CPU time, file size 0, no core dumps
    Landlock    (Linux 5.13+) opens no file at all
    seccomp     no files, processes, signals, timers or new descriptors; no call that waits, so a program
                cannot spend wall-clock time without using CPU time
    audit hook  the same rules again in the interpreter

A scorer reads modules and knows what is right. A program needs neither, so its filter allows less. There is
no fallback: without a kernel filter, no program runs (`swarmd.tasks.worker`).
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

ADDRESS_SPACE_BYTES = 256 * 2**20  # the interpreter maps 70 MiB; the largest honest program needs 1 MiB more
DESCRIPTORS = 64


def confine_nursery(priority: int) -> None:
    """Confine the process that forks the cells. It can read no file from now on. Irreversible.

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
    """Limit a forked child that will run a program for `cpu_seconds` of CPU time. Irreversible."""
    kernel.die_with_parent(signal.SIGKILL)
    lower(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
    lower(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_seconds) + 1)
    lower(resource.RLIMIT_NPROC, 0)


def close_cell() -> None:
    """Confine the cell completely, as the last step before the program runs. Timers keep running,
    unchangeable."""
    kernel.install_filter(seccomp.build_filter(CELL, may_clone=False, may_open=False))
    refuse_side_effects([], places=[])
