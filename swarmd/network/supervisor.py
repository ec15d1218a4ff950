"""Keeps a session alive: opens the next one when p2pd dies, gives up when it dies again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from swarmd.errors import NetworkError, SwarmdError
from swarmd.network.interface import LocalFailureError, NetworkClosedError
from swarmd.network.session import Session

log = structlog.get_logger(__name__)

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each consecutive attempt. After the last one the network is given up, one minute in total.
"""

STABLE_S = 60.0
"""A p2pd that lived this long did not die from its start, so the back-off starts over."""

RESTART_WAIT_S = 5.0
"""Seconds that a call waits while p2pd is restarted. A restart takes 0.3 s."""

PULSE_S = 2.0
PULSES_MISSED_MAX = 4
"""Seconds between two checks of p2pd, and how many in a row it can leave unanswered (a second each). A frozen
p2pd is replaced after about 12 s, but not one on a busy machine.
"""


class Supervisor:
    """Owns the current session."""

    def __init__(self, open_session: Callable[[], Awaitable[Session]]) -> None:
        self._open_session = open_session
        self._session: Session | None = None
        self._settled = asyncio.Event()
        self._closed: BaseException | None = None
        self.restarts = 0

    async def start(self) -> Session:
        """Open the first session. Errors are raised to the caller."""
        self._session = await self._open_session()
        self._settled.set()
        return self._session

    async def session(self) -> Session:
        """Return the session, waiting for a restart if needed. Raises NetworkError, NetworkClosedError."""
        try:
            async with asyncio.timeout(RESTART_WAIT_S):
                await self._settled.wait()
        except TimeoutError as error:
            raise LocalFailureError("the p2p process died and has not restarted yet; try again") from error
        if self._session is None or self._closed is not None:
            raise NetworkClosedError(f"the network is closed: {self._closed}") from self._closed
        return self._session

    async def run(self, restored: Callable[[Session], Awaitable[None]]) -> None:
        """Watch p2pd and restart it, until cancelled or given up. `restored` runs after each restart."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while self._session is not None and self._closed is None:
            born = loop.time()
            code = await self._death_of(self._session)
            self._settled.clear()
            self._session.end()
            log.warning("p2p process died", exit_code=code, action="restarting it with the same key and port")
            await self._session.close()
            if loop.time() - born >= STABLE_S:
                attempt = 0
            try:
                self._session, attempt = await self._reopen(attempt)
            except NetworkError as error:
                self.fail(error)
                return
            self._settled.set()
            self.restarts += 1
            log.info("p2p process restarted", restarts=self.restarts)
            await restored(self._session)

    async def _death_of(self, session: Session) -> int:
        """Wait until the process dies, killing it if it stops answering."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._end_when_frozen(session))
            code = await session.wait_for_death()
            watch.cancel()
        return code

    async def _end_when_frozen(self, session: Session) -> None:
        missed = 0
        while missed < PULSES_MISSED_MAX:
            await asyncio.sleep(PULSE_S)
            missed = 0 if await session.answers() else missed + 1
        log.warning("p2p process does not answer", action="ending it")
        session.kill()

    async def _reopen(self, attempt: int) -> tuple[Session, int]:
        """Return a new session and the attempt count. Raises NetworkError after the last attempt."""
        last: SwarmdError = NetworkError("the p2p process dies right after each start")
        for index, seconds in list(enumerate(BACK_OFF_S))[attempt:]:
            await asyncio.sleep(seconds)
            try:
                return await self._open_session(), index + 1
            except SwarmdError as error:
                last = error
                log.warning("p2p process could not be restarted", attempt=index + 1, error=str(error))
        log.error("giving up on the network", attempts=len(BACK_OFF_S), error=str(last))
        raise NetworkError(
            f"the p2p process could not be restarted in {len(BACK_OFF_S)} attempts ({last}); "
            "no training progress is lost: fix the cause and start again"
        ) from last

    def fail(self, error: BaseException) -> None:
        """Close the network after a fatal error: every call raises NetworkClosedError with this cause."""
        self._closed = error
        if self._session is not None:
            self._session.end()
        self._settled.set()

    async def close(self) -> None:
        """Stop the process. Later calls raise NetworkClosedError."""
        session, self._session = self._session, None
        self._closed = self._closed or NetworkError("it was closed")
        self._settled.set()
        if session is not None:
            await session.close()
