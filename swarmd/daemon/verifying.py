"""Verifies the bodies that gossip pulled, in batches, one batch at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from protocol import VerifiedRecord
from swarmd.daemon.turns import Turns
from swarmd.observe import EventLog
from swarmd.step.verification import Outcome, Verification

HURRY_S = 1.0  # between two checks of a running verification while other groups wait
BATCH_MAX = 8  # bodies per call to the sandbox, all from publishers whose last group was accepted


class VerificationQueue:
    """Records that wait for the sandbox. `settle` receives each with its outcome, on the event loop."""

    def __init__(
        self,
        verification: Verification,
        settle: Callable[[VerifiedRecord, Outcome], None],
        events: EventLog,
    ) -> None:
        self._verification = verification
        self._settle = settle
        self._events = events
        self._waiting = Turns(verification.accounts)
        self._is_some = asyncio.Event()

    def add(self, record: VerifiedRecord) -> None:
        """Queue a record. If there is no room, one is dropped without blame, and gossip eventually forgets
        it.
        """
        if self._waiting.add(record, time.monotonic()) is not None:
            self._events.emit("warning", message="too many groups are waiting for verification: dropped one")
        self._is_some.set()

    async def run(self) -> None:
        """Verify until cancelled. Raises TaskError if the sandbox cannot run."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_verifying(), name="verification")
            group.create_task(self._keep_it_moving(), name="verification's pace")

    async def _keep_verifying(self) -> None:
        while True:
            await self._is_some.wait()
            batch = self._waiting.take(BATCH_MAX, time.monotonic())
            if not self._waiting:
                self._is_some.clear()
            for verified, outcome in zip(batch, await self._verification.check(batch), strict=True):
                self._settle(verified, outcome)

    async def _keep_it_moving(self) -> None:
        """Stop a slow group from holding up groups of proven publishers."""
        while True:
            await asyncio.sleep(HURRY_S)
            if self._waiting.proven_wait:
                self._verification.hurry()
