"""How many cores and how much memory this process may use. Does not load PyTorch."""

from __future__ import annotations

import os

import psutil

from swarmd.hardware import cgroups


def usable_cores() -> int:
    """Physical cores, bounded by affinity and by control group quotas."""
    logical = os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return max(1, int(min(physical, allowed, cgroups.cores())))


def free_memory_bytes() -> int:
    """Main memory still available, bounded by control groups."""
    return int(min(psutil.virtual_memory().available, cgroups.free_bytes()))
