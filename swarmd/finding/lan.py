"""Peers of one swarm in one local network find each other by mDNS (RFC 6762, RFC 6763), without any address.

A peer registers the service `_swarmd._tcp` with its peer id and the beginning of its swarm's id, and looks
for others. Anybody in the network can answer anything. So only addresses of private ranges are taken, few at
a time, and whoever dials them applies the rules for strangers (`network/dialling.py`). The connection itself
proves the peer id.
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
SWARM_DIGITS = 16  # of the swarm id in hex: enough to tell swarms apart, and a packet stays small
WAITING_MAX = 64  # names heard and not yet looked at; further ones are heard again later
LOOK_EVERY_S = 2.0  # between two looks at a name: thirty a minute, whoever shouts
ANSWER_MS = 3_000  # milliseconds for the details of a name; a local network answers at once
AGAIN_S = 300.0  # before an address that was dialled is dialled once more because it was heard
REMEMBERED_MAX = 1_024  # addresses that were dialled; the oldest is forgotten first
ADDRESSES_MAX = 4  # dialled at a time: a machine with two interfaces, on IPv4 and IPv6
READ_MAX = 16  # of one answer: others in the network can add some to a peer's own

Dial = Callable[[Sequence[str]], Awaitable[object]]


@dataclass(frozen=True)
class Self:
    """What a peer tells its local network."""

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
    """The IP addresses of private networks among own multiaddrs. Loopback leads to nobody else."""
    found: dict[str, None] = {}
    for address in addresses:
        _, kind, host, *_ = address.split("/")
        if kind in ("ip4", "ip6") and _is_private(host):
            found[host] = None
    return list(found)


def read_answer(
    me: Self, properties: Mapping[bytes, bytes | None], ips: Sequence[str], port: int | None
) -> tuple[str, ...]:
    """The multiaddrs of a peer of this swarm; none if the answer is another's, or makes no sense."""
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
    """Which addresses were dialled lately. Pure: `now` is in seconds of any clock that never goes back.

    Addresses and not peers: a false answer under a peer's id must not keep others from dialling the true one.
    """

    _at: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def due(self, addresses: Sequence[str], now: float) -> tuple[str, ...]:
        """Those of one peer's addresses to dial now; they count as dialled then."""
        fresh = [each for each in addresses if now - self._at.get(each, float("-inf")) >= AGAIN_S]
        for address in fresh[:ADDRESSES_MAX]:
            self._at.pop(address, None)
            self._at[address] = now
            if len(self._at) > REMEMBERED_MAX:
                self._at.popitem(last=False)
        return tuple(fresh[:ADDRESSES_MAX])


class LocalNetwork:
    """One peer's ear and voice in its local network, from `run` until its task is cancelled."""

    def __init__(self, me: Self, ips: Sequence[str], dial: Dial, warn: Callable[[str], None]) -> None:
        """`ips`: this peer's own private addresses."""
        self._me = me
        self._ips = ips
        self._dial = dial
        self._warn = warn
        self._names: asyncio.Queue[str] = asyncio.Queue(WAITING_MAX)
        self._heard = Heard()

    async def run(self) -> None:
        """Tell and look until cancelled. Ends at once, with one warning, where there is no multicast."""
        from zeroconf import Error, IPVersion
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

        speaking = [ip for ip in self._ips if ipaddress.ip_address(ip).version == 4]
        if not speaking:
            return
        try:
            mdns = AsyncZeroconf(interfaces=speaking, ip_version=IPVersion.V4Only)
        except (OSError, Error) as error:
            self._warn(f"peers in the local network are not looked for, mDNS does not work here: {error}")
            return
        info = AsyncServiceInfo(
            SERVICE,
            f"{self._me.peer_id}.{SERVICE}",
            port=self._me.port,
            properties=self._me.properties,
            parsed_addresses=list(self._ips),
            server=f"{self._me.peer_id}.local.",
        )
        try:
            await mdns.async_register_service(info)
            browser = AsyncServiceBrowser(mdns.zeroconf, SERVICE, handlers=[self._on_change])
            try:
                await self._keep_looking(mdns.zeroconf)
            finally:
                await browser.async_cancel()
        except (OSError, Error) as error:
            self._warn(
                f"peers in the local network are no longer looked for: {error or type(error).__name__}"
            )
        finally:
            await mdns.async_close()

    def _on_change(self, name: str, state_change: Any, **_: Any) -> None:
        """zeroconf heard of a service, of a change of it, or of its end."""
        if state_change.name != "Removed" and not self._names.full():
            self._names.put_nowait(name)

    async def _keep_looking(self, zeroconf: Any) -> None:
        from zeroconf import Error
        from zeroconf.asyncio import AsyncServiceInfo

        while True:
            name = await self._names.get()
            try:
                info = AsyncServiceInfo(SERVICE, name)
                answered = await info.async_request(zeroconf, ANSWER_MS)
            except Error:
                answered = False  # a name that is none
            if answered:
                addresses = read_answer(self._me, info.properties, info.parsed_addresses(), info.port)
                if due := self._heard.due(addresses, asyncio.get_running_loop().time()):
                    await self._dial(due)
            await asyncio.sleep(LOOK_EVERY_S)


def _is_private(ip: str) -> bool:
    """Whether the address is one of a local network; link-local ones need an interface to be dialled."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return address.is_private and not (address.is_loopback or address.is_link_local or address.is_unspecified)
