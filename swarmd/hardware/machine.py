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
    return max(1, int(min(_cores_without_quota(), cgroups.cores())))


def cores_busy_with_other_work() -> float:
    """Measure for `BUSY_S` how many of the usable cores other processes use now. Blocks.

    A load average would also count what this peer did before a restart, and its own start. Under a quota,
    work outside its group first takes the cores that the quota leaves unused. Work inside shares the quota.
    """
    began, own, group = time.monotonic(), _own_cpu_seconds(), cgroups.cpu_seconds()
    percents = psutil.cpu_percent(interval=BUSY_S, percpu=True)
    took = time.monotonic() - began
    ours = (_own_cpu_seconds() - own) / took
    inside = max(0.0, (cgroups.cpu_seconds() - group) / took - ours)
    allowed = _allowed_cpus()
    if len(percents) > len(allowed):  # else all count: some containers show their own, with other numbers
        percents = [percent for cpu, percent in enumerate(percents) if cpu in allowed]
    unused = _cores_without_quota() - usable_cores()
    return inside + max(0.0, sum(percents) / 100 - ours - inside - unused)


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cores_without_quota() -> int:
    allowed = len(_allowed_cpus())
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


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
