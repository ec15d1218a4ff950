"""Whether others can dial this peer, by what others say. Pure.

Each asked peer knocks at this peer's port and says whether it opened (`asking.py`). One network has one
voice, however many names it has, and nothing is decided by fewer than two. So nobody alone can make a peer
believe that it is reachable, or that it is not.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from dataclasses import dataclass

from swarmd.addresses import IpAddress
from swarmd.network.address_groups import group_of_address
from swarmd.network.interface import Reach
from swarmd.network.newest import put_newest

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
        put_newest(self._voices, group, _Voice(opened, seen_at, now), VOICES_MAX)

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
        """The IP address at which most see this peer; empty if they disagree, or at most one says so.

        It is announced. So fewer than most must not have a third party's address announced.
        """
        seen = Counter(ip for voice in self._fresh(now) if (ip := _ip_of(voice.seen_at)) is not None)
        ip, count = next(iter(seen.most_common(1)), (None, 0))
        of_family = sum(
            times for other, times in seen.items() if ip is not None and other.version == ip.version
        )
        return str(ip) if count >= VOICES_MIN and 2 * count > of_family else ""

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


def _ip_of(multiaddr: str) -> IpAddress | None:
    """The IP address that a peer names; None if it names none that anybody else could dial."""
    parts = multiaddr.split("/")
    if len(parts) < 3 or parts[1] not in ("ip4", "ip6"):
        return None
    try:
        ip = ipaddress.ip_address(parts[2])
    except ValueError:
        return None
    has_scope = isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None
    return None if has_scope or ip.is_unspecified or ip.is_loopback or ip.is_multicast else ip
