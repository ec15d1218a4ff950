"""Addresses as people type them: where this machine listens, and the multiaddrs of peers.

Multiaddrs are parsed by hand, so that reading the configuration imports no p2p stack. Only addresses that
can be dialled are accepted: an IP address or a DNS name, a TCP or QUIC port, and the libp2p peer id at the
end. A relayed address names the relay before /p2p-circuit.
Source: https://github.com/multiformats/multiaddr; peer ids: libp2p specs, peer-ids.md.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from protocol import PeerId, ProtocolError, public_key_from_peer_id
from swarmd.errors import ConfigError
from swarmd.quoting import quoted

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PORT_MAX = 65_535  # 16 bits
PORT_DIGITS_MAX = 20  # zeros may lead; Python does not convert thousands of digits

ADDRESS_CHARS_MAX = 256
"""As long as a status may carry; a relayed DNS address with two peer ids needs about 200."""

ADDRESSES_KEPT = 4_096
"""Results that each parser remembers, a few MiB at most. A peer lists its connections every second, and
answers of the DHT name dozens of peers: nearly always the same addresses.
"""

_RIGHT_FORM = (
    "expected /ip4/ADDRESS/tcp/PORT/p2p/PEER_ID, "
    "for example /ip4/192.0.2.7/tcp/41000/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
)
_DNS_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DNS_NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_WITHOUT_VALUE = frozenset({"quic", "quic-v1", "ws", "wss", "tls", "p2p-circuit"})


class _MalformedError(ValueError):
    """What is wrong with one component; the caller adds the whole address and the right form."""


@dataclass(frozen=True)
class PeerAddress:
    """A multiaddr that ends in /p2p/<peer id>. Its form was checked, not whether anybody answers there."""

    text: str
    peer_id: PeerId

    @property
    def transport(self) -> str:
        """The part in front of the last /p2p/: what is dialled."""
        return self.text.rpartition("/p2p/")[0]

    def __str__(self) -> str:
        return self.text


def parse_ip(text: str) -> IpAddress:
    """An IP address to listen on. Raises ConfigError."""
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise ConfigError(
            f"{quoted(text)} is not an IP address: use 0.0.0.0 (all interfaces), 127.0.0.1 or an "
            "address of this machine; DNS names belong in network.announce"
        ) from error


def parse_http(text: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT, [IPV6]:PORT or PORT alone, which means loopback. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _is_port(port):
        raise ConfigError(
            f"{quoted(text)} is not HOST:PORT: {quoted(port)} is not a port, a number from 0 "
            f"to {PORT_MAX}; expected 127.0.0.1:8080"
        )
    try:
        host.encode("idna")  # as the system's resolver is asked
    except UnicodeError as error:
        raise ConfigError(
            f"{quoted(text)} is not HOST:PORT: {quoted(host)} is not a host name; expected 127.0.0.1:8080"
        ) from error
    return host or "127.0.0.1", int(port)


def _is_port(text: str) -> bool:
    """Whether `text` is a port, or 0."""
    return text.isascii() and text.isdigit() and len(text) <= PORT_DIGITS_MAX and int(text) <= PORT_MAX


@lru_cache(maxsize=ADDRESSES_KEPT)
def parse_peer_address(text: str) -> PeerAddress:
    """A multiaddr with a peer id at its end. Raises ConfigError: the address, the fault, the right form."""
    components = _dialable("peer address", text, ends_in_peer_id=True)
    return PeerAddress(text=_join(components), peer_id=PeerId(components[-1][1]))


def parse_dnsaddr(text: str) -> tuple[str, PeerId | None] | None:
    """DNS name and peer id of /dnsaddr/NAME or /dnsaddr/NAME/p2p/PEER_ID; None for another kind of address.

    Raises ConfigError for a malformed one.
    """
    if not text.startswith("/dnsaddr/"):
        return None
    try:
        components = _components(text)
    except _MalformedError as error:
        raise ConfigError(f"peer address {quoted(text, ADDRESS_CHARS_MAX)} is malformed: {error}") from error
    if [name for name, _ in components] not in (["dnsaddr"], ["dnsaddr", "p2p"]):
        raise ConfigError(
            f"peer address {quoted(text, ADDRESS_CHARS_MAX)} is malformed: expected "
            "/dnsaddr/NAME[/p2p/PEER_ID]"
        )
    return components[0][1], PeerId(components[1][1]) if len(components) > 1 else None


def check_named_address(text: str) -> str:
    """`text` as given, if a peer can be looked for there: a peer address or /dnsaddr. Raises ConfigError."""
    if parse_dnsaddr(text) is None:
        parse_peer_address(text)
    return text


def check_announced_address(text: str) -> str:
    """`text` as given, if it can be announced, with or without a peer id at its end. Raises ConfigError."""
    _dialable("announced address", text, ends_in_peer_id=False)
    return text


def parse_announced_address(text: str, peer_id: PeerId) -> PeerAddress:
    """An address to announce: with or without this peer's own id at its end. Raises ConfigError."""
    components = _dialable("announced address", text, ends_in_peer_id=False)
    if components[-1][0] != "p2p":
        components.append(("p2p", peer_id))
    if components[-1][1] != peer_id:
        raise ConfigError(
            f"announced address {quoted(text, ADDRESS_CHARS_MAX)} names another peer; this peer is "
            f"{peer_id}: leave /p2p/ out"
        )
    return PeerAddress(text=_join(components), peer_id=peer_id)


def listen_address(host: str, port: int) -> str:
    """The multiaddr to listen on. Raises ConfigError unless `host` is an IP address."""
    ip = parse_ip(host)
    return f"/ip{ip.version}/{ip}/tcp/{port}"


def most_public_first(addresses: Sequence[str]) -> tuple[str, ...]:
    """Sorted by how far away they can be dialled from: relayed and public, then private, then loopback."""
    return tuple(sorted(dict.fromkeys(addresses), key=_nearness))


def is_public(address: str) -> bool:
    """Whether anybody on the internet could dial it, as far as the address itself tells."""
    return _nearness(address) == 0


def is_relayed(address: str) -> bool:
    """Whether it leads through a relay."""
    return "/p2p-circuit" in address


def tcp_port(address: PeerAddress) -> int | None:
    """The TCP port at which the peer itself is dialled; None for QUIC and for a relayed address."""
    parts = address.transport.split("/")
    return int(parts[4]) if parts[3] == "tcp" and not is_relayed(address.transport) else None


@lru_cache(maxsize=ADDRESSES_KEPT)
def is_loopback(address: str) -> bool:
    """Whether it is on the machine that dials it."""
    ip = _ip_of(address)
    return ip is not None and ip.is_loopback


def _nearness(address: str) -> int:
    ip = _ip_of(address)
    if "/p2p-circuit" in address or ip is None or ip.is_global:
        return 0
    return 2 if ip.is_loopback else 1


def _ip_of(address: str) -> IpAddress | None:
    parts = address.split("/")
    if len(parts) > 2 and parts[1] in ("ip4", "ip6"):
        return ipaddress.ip_address(parts[2])
    return None


def _dialable(what: str, text: str, *, ends_in_peer_id: bool) -> list[tuple[str, str]]:
    """The components of `text`, checked. Raises ConfigError."""
    try:
        components = _components(text)
        _require_dialable([name for name, _ in components], ends_in_peer_id=ends_in_peer_id)
    except _MalformedError as error:
        raise ConfigError(
            f"{what} {quoted(text, ADDRESS_CHARS_MAX)} is malformed: {error}; {_RIGHT_FORM}"
        ) from error
    return components


def _components(text: str) -> list[tuple[str, str]]:
    if len(text) > ADDRESS_CHARS_MAX:
        raise _MalformedError(f"longer than {ADDRESS_CHARS_MAX} characters")
    if not text.startswith("/"):
        raise _MalformedError("it does not begin with /")
    parts = iter(text.strip("/").split("/"))
    components = []
    for name in parts:
        value = "" if name in _WITHOUT_VALUE else next(parts, None)
        if value is None:
            raise _MalformedError(f"/{name} has no value")
        components.append((name, _checked(name, value)))
    return components


def _checked(name: str, value: str) -> str:
    """The value in its one spelling, or _MalformedError."""
    if name in _WITHOUT_VALUE:
        return value
    if name in ("ip4", "ip6"):
        return _checked_ip(name, value)
    if name in ("tcp", "udp"):
        if not _is_port(value) or int(value) == 0:
            raise _MalformedError(f"port {quoted(value)} is not a number from 1 to {PORT_MAX}")
        return str(int(value))
    if name in ("dns", "dns4", "dns6", "dnsaddr"):
        if not DNS_NAME.fullmatch(value):
            raise _MalformedError(f"{quoted(value)} is not a DNS name")
        return value
    if name == "p2p":
        try:
            public_key_from_peer_id(PeerId(value))
        except ProtocolError as error:
            raise _MalformedError(f"{quoted(value)} is not an Ed25519 peer id (12D3Koo...)") from error
        return value
    raise _MalformedError(f"/{name} is not known here")


def _checked_ip(name: str, value: str) -> str:
    try:
        ip = ipaddress.ip_address(value)
    except ValueError as error:
        raise _MalformedError(f"{quoted(value)} is not an IP address") from error
    if name != f"ip{ip.version}":
        raise _MalformedError(f"{quoted(value)} is not an {name} address")
    if getattr(ip, "scope_id", None):
        raise _MalformedError(f"{quoted(value)} has a zone, which only this machine knows: leave out the %")
    if ip.is_unspecified:
        raise _MalformedError(f"{value} means every address of a machine; name the one to dial")
    return str(ip)


def _require_dialable(names: Sequence[str], *, ends_in_peer_id: bool) -> None:
    if ends_in_peer_id and names[-1:] != ["p2p"]:
        raise _MalformedError("the peer id is missing at its end")
    if names[0] not in ("ip4", "ip6", "dns", "dns4", "dns6"):
        raise _MalformedError("it does not begin with an IP address or a DNS name")
    if len(names) < 2 or names[1] not in ("tcp", "udp"):
        raise _MalformedError("the port is missing")
    if "p2p" in names[:-1] and "p2p-circuit" not in names:
        raise _MalformedError("it holds two peer ids without /p2p-circuit between them")


def _join(components: Sequence[tuple[str, str]]) -> str:
    return "".join(f"/{name}/{value}" if value else f"/{name}" for name, value in components)


def well_formed(addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses that the network accepts. They come from other peers, who may write anything."""
    found = []
    for text in addresses:
        try:
            found.append(str(parse_peer_address(text)))
        except ConfigError:
            continue
    return tuple(found)
