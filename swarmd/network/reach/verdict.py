"""Decides from other peers' reports whether they can dial this one. Pure.

Each peer that is asked dials this peer's port and reports whether that worked (`asking.py`). All peers in one
network (address group) count as a single observer, however many names they use, and at least two observers
are needed for a result. A single peer therefore cannot mislead this one about its reachability.
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
"""Networks that must have reported before there is a result."""

VOICES_MAX = 32
"""Networks whose report is remembered, newest first."""

ANSWER_S = 1_800.0
"""Seconds for which a report counts, because routers and addresses change."""


@dataclass(frozen=True)
class _Voice:
    opened: bool
    seen_at: str
    """The multiaddr at which the network sees this peer."""
    at: float


class Voices:
    """The latest report of each network."""

    def __init__(self) -> None:
        self._voices: OrderedDict[str, _Voice] = OrderedDict()

    def heard(self, address: str, *, opened: bool, seen_at: str, now: float) -> None:
        """The peer at `address` dialled this peer's port."""
        group = group_of_address(address)
        put_newest(self._voices, group, _Voice(opened, seen_at, now), VOICES_MAX)

    def heard_within(self, address: str, seconds: float, now: float) -> bool:
        """Whether a peer in the network of `address` reported within the last `seconds`."""
        voice = self._voices.get(group_of_address(address))
        return voice is not None and now - voice.at < seconds

    def counts(self, now: float) -> tuple[int, int]:
        """Return how many networks could dial the port, and how many could not."""
        opened = [voice.opened for voice in self._fresh(now)]
        return sum(opened), len(opened) - sum(opened)

    def opens(self, now: float) -> bool | None:
        """Return the majority's result, or None if there are too few reports or a tie."""
        yes, no = self.counts(now)
        return None if yes + no < VOICES_MIN or yes == no else yes > no

    def seen_at(self, now: float) -> str:
        """Return the IP address at which most networks see this peer, or "" if they disagree or fewer than
        two agree.

        This address is announced, so a minority must not be able to substitute a third party's.
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
    """Return the state. A place at a relay alone shows that this peer can be reached."""
    if opens:
        return Reach.DIRECT
    if punched and opens is False:
        return Reach.PUNCHED
    if relays:
        return Reach.RELAYED
    return Reach.UNKNOWN if opens is None else Reach.INLINE


def _ip_of(multiaddr: str) -> IpAddress | None:
    """Return the IP address in a report, or None if nobody else could dial it."""
    parts = multiaddr.split("/")
    if len(parts) < 3 or parts[1] not in ("ip4", "ip6"):
        return None
    try:
        ip = ipaddress.ip_address(parts[2])
    except ValueError:
        return None
    has_scope = isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None
    return None if has_scope or ip.is_unspecified or ip.is_loopback or ip.is_multicast else ip
