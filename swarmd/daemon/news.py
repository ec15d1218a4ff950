"""Ask connected peers, one at a time, whether there is a newer version of the swarm and which protocol they
speak.

A peer's answer changes only what is reported: the operator decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from itertools import count

from protocol import PeerId
from swarmd.errors import ConfigError, NetworkError
from swarmd.finding.news import News
from swarmd.finding.upgrading import refusal
from swarmd.network.interface import Network, NetworkClosedError, Standing, StandingOf
from swarmd.observe import EventLog
from swarmd.storage import Home

ASK_S = 20.0
"""Seconds between two questions. A peer with ten neighbours hears of a new version within minutes."""

ASKED_MAX = 256
"""How many peers' last question is remembered; the one asked longest ago is forgotten first."""


Ask = Callable[[PeerId], Awaitable[bytes]]
Hear = Callable[[PeerId, bytes], None]


class Newsroom:
    """What this peer knows of versions, kept in its home."""

    def __init__(
        self,
        home: Home,
        network: Network,
        events: EventLog,
        standing_of: StandingOf,
        words: Callable[[News], str | None] | None = None,
    ) -> None:
        """`words` formats the news for the operator; by default it says how a member joins a newer
        version.
        """
        self._home = home
        self._network = network
        self._events = events
        self._standing_of = standing_of
        self._words = words or (lambda news: news.words(str(home.path)))
        self._news = News(home.charter())
        self._asked: OrderedDict[PeerId, bool] = OrderedDict()
        """Peer -> when it was last asked, and whether its protocol version is known."""
        self._turns: dict[Standing, int] = {}
        """The index of the last turn of each standing."""
        self._numbers = count(1)
        self._problem: str | None = None
        self._look_at_home()

    @property
    def words(self) -> str | None:
        """What the operator should know; None if there is nothing new."""
        return self._words(self._news)

    async def keep_asking(self) -> None:
        """Ask one peer after another, until cancelled or the network is closed."""
        while True:
            await asyncio.sleep(ASK_S)
            self._look_at_home()
            peer = self._next()
            if peer is None:
                continue
            try:
                await self._ask(peer)
            except NetworkClosedError:
                return

    def _next(self) -> PeerId | None:
        """Return a connected peer. Standings take turns, best first, and so do the peers within each.

        Newcomers therefore delay a question to a known peer by at most one turn, however many they are.
        """
        peers: defaultdict[Standing, list[PeerId]] = defaultdict(list)
        for peer in self._network.statistics().connections:
            peers[self._standing_of(peer)].append(peer)
        peers.pop(Standing.BANNED, None)
        if not peers:
            return None
        standing = min(peers, key=lambda each: (self._turns.get(each, 0), -each))
        self._turns[standing] = next(self._numbers)
        asked_at = {peer: place for place, peer in enumerate(self._asked)}
        return min(peers[standing], key=lambda peer: asked_at.get(peer, -1))

    async def _ask(self, peer: PeerId) -> None:
        knows_version = self._asked.pop(peer, False)
        if not knows_version:
            await self._answer(self._network.ask_versions, peer, self._hear_versions)
        self._asked[peer] = True
        if len(self._asked) > ASKED_MAX:
            self._asked.popitem(last=False)
        if self._news.mine is not None:
            await self._answer(self._network.ask_charter, peer, self._hear_charter)

    async def _answer(self, ask: Ask, peer: PeerId, hear: Hear) -> None:
        """Pass the answer of `peer` to `hear`. Silence is ignored: the peer may know nothing, or be older
        than the question.
        """
        try:
            answer = await ask(peer)
        except NetworkClosedError:
            raise
        except NetworkError:
            return
        hear(peer, answer)

    def _hear_versions(self, peer: PeerId, answer: bytes) -> None:
        if (why := refusal(peer, answer)) is not None:
            self._events.emit("warning", message=why)

    def _hear_charter(self, _: PeerId, answer: bytes) -> None:
        before = self._news.newest
        self._hear(answer)
        newest = self._news.newest
        if newest is None or newest == before:
            return
        try:
            self._home.write_news(newest)
        except ConfigError as error:
            self._warn_once(str(error))

    def _look_at_home(self) -> None:
        """Read what `swarmd swarm announce` may have left in the home."""
        try:
            kept = self._home.news()
        except ConfigError as error:
            kept = None
            self._warn_once(str(error))
        if kept is not None:
            self._hear(kept.envelope)
        if (mine := self._news.to_tell) is not None:
            self._network.tell_charter(mine)

    def _warn_once(self, problem: str) -> None:
        """Warn once about a failure. It does not stop training: the news is heard again, from other peers or
        after a restart.
        """
        if problem != self._problem:
            self._problem = problem
            self._events.emit("warning", message=problem)

    def _hear(self, envelope: bytes) -> None:
        before, self._news = self._news, self._news.after(envelope)
        if self._news == before:
            return
        if (told := self._news.to_tell) is not None:
            self._network.tell_charter(told)
        if (words := self.words) is not None:
            self._events.emit("warning", message=words)
