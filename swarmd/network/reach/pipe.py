"""Copies bytes between two streams, within the limits of one circuit and of all circuits together."""

from __future__ import annotations

import asyncio
from contextlib import closing

CHUNK_BYTES = 16_384
"""Bytes copied at a time; a body of 64 KiB takes four reads."""

BURST_S = 1.0
"""Seconds of silence that a burst can make up for."""


class Allowance:
    """The bandwidth that all circuits share, in turn. A circuit that waits reads nothing."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._spent_until = float("-inf")
        self.passed = 0
        """Bytes copied so far."""

    async def take(self, count: int) -> None:
        """Wait until `count` bytes can be copied.

        A caller that is cancelled while waiting uses nothing up. Otherwise circuits that end immediately
        would delay all others.
        """
        now = asyncio.get_running_loop().time()
        seconds = count / self._bytes_per_s
        self._spent_until = max(self._spent_until, now - BURST_S) + seconds
        try:
            await asyncio.sleep(max(0.0, self._spent_until - now))
        except asyncio.CancelledError:
            self._spent_until -= seconds
            raise
        self.passed += count


async def join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    *,
    allowance: Allowance,
    seconds: float,
    bytes_max: int,
) -> None:
    """Copy bytes both ways until either side ends, `seconds` have passed, or one direction has carried
    `bytes_max`.

    Closes both streams.
    """
    (from_one, to_one), (from_other, to_other) = one, other
    with closing(to_one), closing(to_other):
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                there = group.create_task(_pass(from_one, to_other, allowance, bytes_max))
                back = group.create_task(_pass(from_other, to_one, allowance, bytes_max))
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                back.cancel()
        except TimeoutError:
            return


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowance: Allowance, bytes_max: int
) -> None:
    left = bytes_max
    try:
        while left > 0 and (data := await reader.read(min(CHUNK_BYTES, left))):
            await allowance.take(len(data))
            left -= len(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        return
