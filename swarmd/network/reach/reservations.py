"""The places that this peer has at relays: several at once, at peers chosen by standing.

A dead relay shows up as a connection that ended, or as a peer that does not answer. It is replaced within one
round.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass

import structlog

from protocol import PeerId
from swarmd.addresses import is_public, is_relayed
from swarmd.errors import NetworkError
from swarmd.network.address_groups import group_of_address
from swarmd.network.interface import Standing

log = structlog.get_logger(__name__)

WANTED = 3
"""Relays used at once: one can die and one can be hostile. Each costs a place and a few bytes per minute."""

TRIES_A_ROUND = 3
"""Peers asked for a place in one round, so that many refusals do not delay the round."""

EXTEND_S = 60.0
"""Seconds between two renewals of a place, because a relay that restarted has forgotten it."""

REFUSED_S = 120.0
"""Seconds before a peer that refused is asked again."""

REFUSED_MAX = 1_024
"""Peers whose refusal is remembered."""

Reserve = Callable[[PeerId], Awaitable[None]]
"""Asks a peer for a place. Raises NetworkError if it refuses."""


@dataclass
class _Held:
    address: str
    extend_at: float


class Reservations:
    """`connections`, `standing` and `unheard` return what the transport knows now."""

    def __init__(
        self,
        reserve: Reserve,
        connections: Callable[[], Mapping[PeerId, str]],
        standing: Callable[[PeerId], Standing],
        unheard: Callable[[], Container[PeerId]],
        delivered: Callable[[PeerId], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`delivered`: the number of bodies that a peer has delivered over its own connection."""
        self._reserve = reserve
        self._connections = connections
        self._standing = standing
        self._unheard = unheard
        self._delivered = delivered
        self._now = monotonic
        self._held: dict[PeerId, _Held] = {}
        self._refused: dict[PeerId, float] = {}

    @property
    def relays(self) -> tuple[PeerId, ...]:
        return tuple(self._held)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The multiaddrs at which this peer can be dialled through its relays, without its own
        id at the end.
        """
        return tuple(f"{held.address}/p2p/{relay}/p2p-circuit" for relay, held in self._held.items())

    async def round(self, *, needed: bool) -> None:
        """Renew places, drop lost ones, and ask for missing ones. If not `needed`, give all up."""
        if not needed:
            self._held.clear()
            return
        await self._extend()
        tries = TRIES_A_ROUND
        while len(self._held) < WANTED and tries and (candidates := self._candidates()):
            tries -= 1
            relay = candidates[0]
            await self._ask(relay, self._connections()[relay])

    async def _extend(self) -> None:
        now, unheard = self._now(), self._unheard()
        connections = self._connections()
        for relay, held in list(self._held.items()):
            if relay in unheard or connections.get(relay) != held.address:
                del self._held[relay]
                log.info("relay lost", relay=relay)
            elif held.extend_at <= now:
                await self._ask(relay, held.address)

    async def _ask(self, relay: PeerId, address: str) -> None:
        try:
            await self._reserve(relay)
        except NetworkError as error:
            self._held.pop(relay, None)
            self._refused.pop(relay, None)
            self._refused[relay] = self._now() + REFUSED_S
            if len(self._refused) > REFUSED_MAX:
                del self._refused[next(iter(self._refused))]
            log.debug("no relay", relay=relay, error=str(error))
            return
        if relay not in self._held:
            log.info("relay found", relay=relay)
        self._held[relay] = _Held(address, self._now() + EXTEND_S)

    def _candidates(self) -> list[PeerId]:
        """Return the peers to ask, best first: by standing and deliveries, and only one per address group."""
        now, unheard = self._now(), self._unheard()
        taken = {group_of_address(held.address) for held in self._held.values()}
        fit = [
            peer
            for peer, address in self._connections().items()
            if not is_relayed(address)
            and peer not in unheard
            and self._refused.get(peer, now) <= now
            and self._standing(peer) > Standing.BANNED
            and group_of_address(address) not in taken
        ]
        return sorted(fit, key=self._rank)

    def _rank(self, peer: PeerId) -> tuple[bool, int, int]:
        address = self._connections()[peer]
        return not is_public(address), -self._standing(peer), -self._delivered(peer)
