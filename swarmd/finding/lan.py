"""Discovers peers of the same swarm in the local network by mDNS (RFC 6762, RFC 6763), without any address.

A peer registers the service `_swarmd._tcp` with its peer id and the start of its swarm's id, and browses for
others. Anyone in the network can answer anything. Therefore only addresses in private ranges are accepted, a
few at a time, and dialling them follows the rules for strangers (`network/dialling.py`). The connection
itself proves the peer id.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol import PeerId
from swarmd.addresses import PORT_MAX, parse_peer_address
from swarmd.errors import ConfigError

SERVICE = "_swarmd._tcp.local."
SWARM_DIGITS = 16  # hex digits of the swarm id: enough to tell swarms apart, and packets stay small
WAITING_MAX = 64  # names in the queue; further ones are announced again later
LOOK_EVERY_S = 2.0  # between two name lookups: thirty per minute, however many are announced
CHECK_S = 30.0  # between two looks at this machine's own addresses: a laptop moves to another network
ANSWER_MS = 3_000  # milliseconds for the details of a name; a local network answers at once
AGAIN_S = 300.0  # before an address that was announced is dialled again
REMEMBERED_MAX = 1_024  # addresses that were dialled; the oldest is dropped first
ADDRESSES_MAX = 4  # dialled at a time: a machine with two interfaces, on IPv4 and IPv6
READ_MAX = 16  # addresses read from one answer; others in the network can add some to a peer's own

Dial = Callable[[Sequence[str]], Awaitable[object]]


@dataclass(frozen=True)
class Self:
    """What a peer announces in its local network."""

    peer_id: PeerId
    swarm_id: bytes
    port: int

    @property
    def tag(self) -> str:
        return self.swarm_id.hex()[:SWARM_DIGITS]

    @property
    def properties(self) -> dict[str, str]:
        return {"swarm": self.tag, "peer": self.peer_id}


def private_ips(addresses: Sequence[str]) -> list[str]:
    """Return the private IP addresses among a peer's own multiaddrs. Loopback leads to no other machine."""
    found: dict[str, None] = {}
    for address in addresses:
        _, kind, host, *_ = address.split("/")
        if kind in ("ip4", "ip6") and _is_private(host):
            found[host] = None
    return list(found)


def read_answer(
    me: Self, properties: Mapping[bytes, bytes | None], ips: Sequence[str], port: int | None
) -> tuple[str, ...]:
    """Return the multiaddrs of a peer of this swarm; empty if the answer is for another swarm or invalid."""
    if properties.get(b"swarm") != me.tag.encode():
        return ()
    peer = (properties.get(b"peer") or b"").decode("ascii", "replace")
    if peer == me.peer_id or port is None or not 0 < port <= PORT_MAX:
        return ()
    found = []
    for ip in ips[:READ_MAX]:
        if not _is_private(ip):
            continue
        try:
            family = ipaddress.ip_address(ip).version
            found.append(str(parse_peer_address(f"/ip{family}/{ip}/tcp/{port}/p2p/{peer}")))
        except ConfigError:
            continue
    return tuple(found)


@dataclass
class Heard:
    """Which addresses were dialled recently. Pure: `now` is in seconds of any monotonic clock.

    It tracks addresses instead of peers, so that a false answer under a peer's id does not block the true
    one.
    """

    _at: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def due(self, addresses: Sequence[str], now: float) -> tuple[str, ...]:
        """Return which of one peer's addresses to dial now, and record them as dialled."""
        fresh = [each for each in addresses if now - self._at.get(each, float("-inf")) >= AGAIN_S]
        for address in fresh[:ADDRESSES_MAX]:
            self._at.pop(address, None)
            self._at[address] = now
            if len(self._at) > REMEMBERED_MAX:
                self._at.popitem(last=False)
        return tuple(fresh[:ADDRESSES_MAX])


class LocalNetwork:
    """One peer's announcements and discovery in its local network, from `run` until cancelled."""

    def __init__(
        self, me: Self, ips: Callable[[], Sequence[str]], dial: Dial, warn: Callable[[str], None]
    ) -> None:
        """`ips`: returns this peer's own private addresses."""
        self._me = me
        self._ips = ips
        self._dial = dial
        self._warn = warn
        self._names: asyncio.Queue[str] = asyncio.Queue(WAITING_MAX)
        self._heard = Heard()

    async def run(self) -> None:
        """Announce and browse until cancelled, anew whenever this machine's addresses change.

        Warns if multicast does not work with the present ones.
        """
        before: Sequence[str] = ()
        while True:
            ips = self._ips()
            speaking = [ip for ip in ips if ipaddress.ip_address(ip).version == 4]
            if speaking and ips != before:
                await self._meet(ips, speaking)
            before = ips
            await asyncio.sleep(CHECK_S)

    async def _meet(self, ips: Sequence[str], speaking: Sequence[str]) -> None:
        """Announce and browse with these addresses, for as long as this machine has them."""
        from zeroconf import Error, IPVersion
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

        try:
            mdns = AsyncZeroconf(interfaces=speaking, ip_version=IPVersion.V4Only)
        except (OSError, Error) as error:
            self._warn(f"discovery in the local network is off: mDNS does not work here: {error}")
            return
        info = AsyncServiceInfo(
            SERVICE,
            f"{self._me.peer_id}.{SERVICE}",
            port=self._me.port,
            properties=self._me.properties,
            parsed_addresses=list(ips),
            server=f"{self._me.peer_id}.local.",
        )
        try:
            await mdns.async_register_service(info)
            browser = AsyncServiceBrowser(mdns.zeroconf, SERVICE, handlers=[self._on_change])
            try:
                await self._keep_looking(mdns.zeroconf, ips)
            finally:
                await browser.async_cancel()
        except (OSError, Error) as error:
            if self._ips() == ips:
                self._warn(f"discovery in the local network has stopped: {error or type(error).__name__}")
        finally:
            await mdns.async_close()

    def _on_change(self, name: str, state_change: Any, **_: Any) -> None:
        """zeroconf reports that a service appeared, changed or ended."""
        if state_change.name != "Removed" and not self._names.full():
            self._names.put_nowait(name)

    async def _keep_looking(self, zeroconf: Any, ips: Sequence[str]) -> None:
        from zeroconf import Error
        from zeroconf.asyncio import AsyncServiceInfo

        while self._ips() == ips:
            try:
                async with asyncio.timeout(CHECK_S):
                    name = await self._names.get()
            except TimeoutError:
                continue
            try:
                info = AsyncServiceInfo(SERVICE, name)
                answered = await info.async_request(zeroconf, ANSWER_MS)
            except Error:
                answered = False  # an invalid name
            if answered:
                addresses = read_answer(self._me, info.properties, info.parsed_addresses(), info.port)
                if due := self._heard.due(addresses, asyncio.get_running_loop().time()):
                    await self._dial(due)
            await asyncio.sleep(LOOK_EVERY_S)


def _is_private(ip: str) -> bool:
    """Whether the address is private and can be dialled; link-local ones would need an interface."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return address.is_private and not (address.is_loopback or address.is_link_local or address.is_unspecified)
