"""How many cores and how much memory this process may use, and how many are in use. Does not load PyTorch."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psutil

from swarmd.hardware import cgroups

BUSY_S = 0.2  # to measure other work: a start takes seconds anyway, and the kernel counts in 0.01 s


def usable_cores() -> int:
    """Physical cores, bounded by affinity and by control group quotas."""
    logical = os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return max(1, int(min(physical, allowed, cgroups.cores())))


def cores_busy_with_other_work() -> float:
    """Measure for `BUSY_S` how many cores other processes use now. Blocks.

    A load average would also count what this peer did before a restart, and its own start.
    """
    began, own = time.monotonic(), _own_cpu_seconds()
    all_of_them = (psutil.cpu_count() or 1) * psutil.cpu_percent(interval=BUSY_S) / 100
    ours = (_own_cpu_seconds() - own) / (time.monotonic() - began)
    return max(0.0, all_of_them - ours)


def _own_cpu_seconds() -> float:
    """CPU time of this process and all that it started. A child that has ended is in its parent's times."""
    this, seconds = psutil.Process(), 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def free_memory_bytes() -> int:
    """Main memory still available, bounded by control groups."""
    return int(min(psutil.virtual_memory().available, cgroups.free_bytes()))
