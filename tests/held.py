"""What a process holds of the system, counted before and after many failed operations.

LEAKS=1000 asks for a thousand of each kind; the suite does fewer: a leak of one each shows in a few dozen.
An operation that is cut off at another moment each time is done twice as often.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

TIMES = int(os.environ.get("LEAKS", "50"))
WARM_UP = 5  # fills what is made once: pools, caches, lazily started threads
SLACK = 5  # p2pd opens and closes some by itself; what is kept each time is far more
SETTLE_S = 20.0  # for p2pd to see that a socket was closed, and for children to be reaped


@dataclass(frozen=True)
class Held:
    """At one moment."""

    descriptors: int
    others_descriptors: tuple[int, ...]
    """Of the processes that were asked for, in order."""
    tasks: int
    threads: int
    children: int
    files: int
    """In the directory that was asked for."""

    @classmethod
    def now(cls, others: Sequence[psutil.Process], directory: Path) -> Held:
        gc.collect()
        return cls(
            psutil.Process().num_fds(),
            tuple(process.num_fds() for process in others),
            len(asyncio.all_tasks()),
            threading.active_count(),
            len(psutil.Process().children(recursive=True)),
            sum(1 for _ in directory.rglob("*")),
        )

    def exceeds(self, other: Held) -> bool:
        return any(
            mine > theirs + SLACK
            for name in vars(self)
            for mine, theirs in zip(_counts(vars(self)[name]), _counts(vars(other)[name]), strict=True)
        )


def _counts(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


@contextmanager
def new_garbage_only() -> Iterator[None]:
    """Garbage collections within look only at what was made within, not at all of PyTorch each time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def assert_nothing_is_kept(
    operation: Callable[[], Awaitable[object]],
    directory: Path,
    others: Sequence[psutil.Process] = (),
    *,
    times: int = TIMES,
) -> None:
    """Whatever `operation`, which fails or is cut off, opens is given back: after many as after a few."""
    for _ in range(WARM_UP):
        await operation()
    with new_garbage_only():
        before = await _settled(others, directory)
        for _ in range(times):
            await operation()
        after = Held.now(others, directory)
        deadline = asyncio.get_running_loop().time() + SETTLE_S
        while after.exceeds(before) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
            after = Held.now(others, directory)
    assert not after.exceeds(before), f"before {before}, after {times} times {after}"


async def _settled(others: Sequence[psutil.Process], directory: Path) -> Held:
    """Once what the warm-up held has had time to go."""
    await asyncio.sleep(0.5)
    return Held.now(others, directory)
