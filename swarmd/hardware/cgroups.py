"""Reads the limits that Linux control groups set for this process, for example in containers and services.

Every group from the root down to this process's own may set a limit, and the tightest one applies. Both
versions are read (https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html). In a
container, the root may be the container's own group, while the path names groups that only the host sees. A
group that is missing limits nothing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")  # where the kernel exposes the groups
OWN = Path("/proc/self/cgroup")  # "NUMBER:CONTROLLERS:PATH" per line; version 2 names no controllers
UNLIMITED = float("inf")
MEMORY_FILES = {
    "": ("memory.max", "memory.current", "inactive_file", "active_file", "file_mapped", "shmem"),
    "memory": (
        *("memory.limit_in_bytes", "memory.usage_in_bytes"),
        *("total_inactive_file", "total_active_file", "total_mapped_file", "total_shmem"),
    ),
}
"""For versions 2 and 1: the limit, the usage, and four keys of `memory.stat`: cached files that were read
once, cached files that were read more often, the part of both that processes have mapped together with mapped
shared memory, and all shared memory."""
EVENT_FILES = {"": "memory.events", "memory": "memory.oom_control"}
NO_LIMIT_BYTES = 2**60  # version 1 reports 2^63 minus a page if there is no limit


def free_bytes(mount: Path = MOUNT, own: Path = OWN) -> float:
    """Bytes of memory still available; infinite if unlimited."""
    return min(
        _free_bytes(group, *files)
        for controller, files in MEMORY_FILES.items()
        for group in _groups(controller, mount, own)
    )


def limit_bytes(mount: Path = MOUNT, own: Path = OWN) -> float:
    """The tightest memory limit in bytes; infinite if unlimited."""
    return min(
        _number(group / limit_file)
        for controller, (limit_file, *_) in MEMORY_FILES.items()
        for group in _groups(controller, mount, own)
    )


def oom_kills(mount: Path = MOUNT, own: Path = OWN) -> int:
    """How many processes of this group the kernel has killed so far because memory ran out."""
    found = 0
    for controller, name in EVENT_FILES.items():
        with suppress(OSError):
            found += _statistics(_groups(controller, mount, own)[-1] / name).get("oom_kill", 0)
    return found


def cores(mount: Path = MOUNT, own: Path = OWN) -> float:
    """Available CPU time, in cores; infinite if unlimited."""
    return _cores(_cpu_group(mount, own))


def cpu_seconds(mount: Path = MOUNT, own: Path = OWN) -> float:
    """CPU time that the group with the tightest quota has used so far; 0 without a quota, or if unknown."""
    group = _cpu_group(mount, own)
    if _cores(group) == UNLIMITED:
        return 0.0
    try:
        if (group / "cpu.max").exists():
            return _statistics(group / "cpu.stat")["usage_usec"] / 1e6
        # Version 1 may mount this controller in a folder of its own; otherwise the folder is a link.
        inner = group.relative_to(mount / "cpu")
        return int((mount / "cpuacct" / inner / "cpuacct.usage").read_text()) / 1e9
    except (OSError, ValueError, KeyError):
        return 0.0


def _cpu_group(mount: Path, own: Path) -> Path:
    """The group with the tightest quota."""
    return min((group for controller in ("", "cpu") for group in _groups(controller, mount, own)), key=_cores)


def _statistics(path: Path) -> dict[str, int]:
    """The numbers in a file of lines "KEY NUMBER"."""
    return {key: int(number) for key, number in (line.split() for line in path.read_text().splitlines())}


def _number(path: Path) -> float:
    """The number in a file. It may say `max` or not exist; version 1 reports a number above any memory."""
    try:
        text = path.read_text().strip()
        found = UNLIMITED if text == "max" else float(int(text))
    except (OSError, ValueError):
        return UNLIMITED
    return UNLIMITED if found >= NO_LIMIT_BYTES else found


def _groups(controller: str, mount: Path, own: Path) -> list[Path]:
    """Directories from the root group to this process's group. Version 2's if `controller` is empty."""
    path = Path("/")
    try:
        for line in own.read_text().splitlines():
            _, controllers, named = line.split(":", 2)
            if controller in controllers.split(","):
                path = Path(named)
    except (OSError, ValueError):
        path = Path("/")
    inner = path.parts[1:]
    return [mount.joinpath(controller, *inner[:depth]) for depth in range(len(inner) + 1)]


def _free_bytes(
    group: Path,
    limit_file: str,
    used_file: str,
    once_key: str,
    often_key: str,
    mapped_key: str,
    shared_key: str,
) -> float:
    """Count cached files as free, as the kernel's MemAvailable does: also those read often, which is what
    weights and checkpoints become when a peer starts again. What is mapped is not free: it is mostly the code
    of libraries, and counts as held by the processes that run it. Shared memory is no cached file: it is
    taken off what is mapped, because it is in the usage already.
    """
    try:
        limit = (group / limit_file).read_text().strip()
        if limit == "max":
            return UNLIMITED
        used = int((group / used_file).read_text())
        statistics = _statistics(group / "memory.stat")
        once, often, mapped, shared = (
            statistics.get(key, 0) for key in (once_key, often_key, mapped_key, shared_key)
        )
        return max(0, int(limit) - used + max(0, once + often - max(0, mapped - shared)))
    except (OSError, ValueError):
        return UNLIMITED


def _cores(group: Path) -> float:
    """Parse `cpu.max`: "QUOTA PERIOD" or "max PERIOD". Version 1 has a file for each, with -1 for no
    quota."""
    names = ("cpu.max",) if (group / "cpu.max").exists() else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        quota, period = " ".join((group / name).read_text() for name in names).split()
        return UNLIMITED if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return UNLIMITED
