"""Printed output that a test can wait for."""

from __future__ import annotations

import asyncio
import io

WAIT_S = 60  # a script starts in 0.1 s; one that never does fails the test rather than hang it


class AwaitedOutput(io.StringIO):
    """What was printed, for a test that waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._grew = asyncio.Event()

    def write(self, text: str) -> int:
        self._grew.set()
        return super().write(text)

    async def holds(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.getvalue().count(text) < times:
                self._grew.clear()
                await self._grew.wait()
