"""Whether others can dial this peer, by what others say. Pure.

Each asked peer knocks at this peer's port and says whether it opened (`asking.py`). One network has one
voice, however many names it has, and nothing is decided by fewer than two. So nobody alone can make a peer
believe that it is reachable, or that it is not.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from swarmd.network.address_groups import group_of_address
from swarmd.network.interface import Reach

VOICES_MIN = 2
"""Networks that must have knocked before anything is believed."""

VOICES_MAX = 32
"""Networks whose answer is remembered, the newest."""

ANSWER_S = 1_800.0
"""Seconds for which an answer counts: routers and addresses change."""


@dataclass(frozen=True)
class _Voice:
    opened: bool
    seen_at: str
    """The multiaddr at which it sees this peer."""
    at: float


class Voices:
    """What each network said last."""

    def __init__(self) -> None:
        self._voices: OrderedDict[str, _Voice] = OrderedDict()

    def heard(self, address: str, *, opened: bool, seen_at: str, now: float) -> None:
        """The peer at `address` knocked."""
        group = group_of_address(address)
        self._voices.pop(group, None)
        self._voices[group] = _Voice(opened, seen_at, now)
        if len(self._voices) > VOICES_MAX:
            self._voices.popitem(last=False)

    def heard_within(self, address: str, seconds: float, now: float) -> bool:
        """Whether a peer of the network of `address` knocked lately."""
        voice = self._voices.get(group_of_address(address))
        return voice is not None and now - voice.at < seconds

    def counts(self, now: float) -> tuple[int, int]:
        """How many networks found the door open, and how many closed."""
        opened = [voice.opened for voice in self._fresh(now)]
        return sum(opened), len(opened) - sum(opened)

    def opens(self, now: float) -> bool | None:
        """What most say; None while it is too few, or as many say the one as the other."""
        yes, no = self.counts(now)
        return None if yes + no < VOICES_MIN or yes == no else yes > no

    def seen_at(self, now: float) -> str:
        """The IP address at which most see this peer; empty if at most one does."""
        seen = Counter(host for voice in self._fresh(now) if (host := _host(voice.seen_at)))
        host, count = next(iter(seen.most_common(1)), ("", 0))
        return host if count >= VOICES_MIN else ""

    def _fresh(self, now: float) -> list[_Voice]:
        return [voice for voice in self._voices.values() if now - voice.at < ANSWER_S]


def reach_of(opens: bool | None, *, relays: int, punched: bool) -> Reach:
    """The state in one word. A place at a relay shows by itself that this peer can be reached."""
    if opens:
        return Reach.DIRECT
    if punched and opens is False:
        return Reach.PUNCHED
    if relays:
        return Reach.RELAYED
    return Reach.UNKNOWN if opens is None else Reach.INLINE


def _host(multiaddr: str) -> str:
    parts = multiaddr.split("/")
    return parts[2] if len(parts) > 2 and parts[1] in ("ip4", "ip6") else ""
