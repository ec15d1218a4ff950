"""Passes bytes between two streams, within what one circuit and all circuits together may carry."""

from __future__ import annotations

import asyncio
from contextlib import closing

CHUNK_BYTES = 16_384
"""Bytes passed at once; a body of 64 KiB takes four."""

BURST_S = 1.0
"""Seconds of silence that are made up for at once."""


class Allowance:
    """Bytes per second for all circuits together, in turn. A circuit that waits reads nothing."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._spent_until = float("-inf")
        self.passed = 0
        """Bytes so far."""

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may pass.

        Whoever gives up waiting has used nothing: circuits that end at once would hold up all others.
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
    """Pass bytes both ways until either side ends, `seconds` are over, or one way has carried `bytes_max`.

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
