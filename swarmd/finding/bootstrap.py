"""Resolves addresses with DNS names, and warns the operator about names that resolve to nothing.

/dns4, /dns6 and /dns are kept as they are: p2pd and the probes of doors resolve them each time, so a peer
whose address changes stays reachable. /dnsaddr is a list kept by the owner of a name, and is replaced by its
entries.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from swarmd.addresses import parse_dnsaddr, parse_peer_address
from swarmd.errors import ConfigError
from swarmd.finding.records import LOOKUP_S, Lookup, look_up
from swarmd.quoting import PATH_CHARS_MAX, shortened

LISTED_MAX = 16  # addresses taken from one /dnsaddr list and the lists it names: as many as a start dials
NESTED_MAX = 2  # a list can name another list; libp2p's own bootstrap nodes do so once
LISTS_MAX = 6  # lists that one list can name; each takes LOOKUP_S if the DNS does not answer

_PREFIX = "dnsaddr="

Resolve = Callable[[str, int], Iterable[object]]
"""(DNS name, address family) -> its addresses. Raises OSError."""
_FAMILIES = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}


def _resolve(name: str, family: int) -> Iterable[object]:
    return socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)


async def look_up_addresses(
    addresses: Sequence[str],
    warn: Callable[[str], None],
    *,
    lookup: Lookup = look_up,
    resolve: Resolve = _resolve,
) -> tuple[str, ...]:
    """Return `addresses` with /dnsaddr resolved and duplicates removed. Warns about malformed addresses and
    names that do not resolve.

    A name without an address is kept, because it may resolve at the next attempt.
    """
    found: dict[str, None] = {}
    for text in addresses:
        try:
            if (listed := parse_dnsaddr(text)) is None:
                found[str(parse_peer_address(text))] = None
                await _require_address(text, resolve)
                continue
            several = await asyncio.to_thread(_listed, *listed, lookup, NESTED_MAX)
        except ConfigError as error:
            warn(str(error))
            continue
        found.update(dict.fromkeys(several[:LISTED_MAX]))
    return tuple(found)


async def look_up_named(addresses: Sequence[str], warn: Callable[[str], None]) -> tuple[str, ...]:
    """Like `look_up_addresses`, for the operator's addresses, of which at least one must remain.

    Raises ConfigError if none does: a peer that went elsewhere instead would permanently join the wrong
    swarm.
    """
    found = await look_up_addresses(addresses, warn)
    if addresses and not found:
        given = shortened(", ".join(addresses), PATH_CHARS_MAX)
        raise ConfigError(
            f"none of the --peer addresses can be used ({given}): see the warnings above; check the "
            "DNS, or name a peer by its IP address"
        )
    return found


def _listed(name: str, peer_id: str | None, lookup: Lookup, levels: int) -> list[str]:
    """Return the addresses in the list of `name`, limited to those of `peer_id` if given.

    Raises ConfigError if there are none.
    """
    several: list[str] = []
    lists = 0
    for record in lookup(f"_dnsaddr.{name}"):
        text = record.removeprefix(_PREFIX)
        try:
            inner = parse_dnsaddr(text)
            if text == record or len(several) >= LISTED_MAX:
                continue
            if inner is None:
                address = parse_peer_address(text)
                several += [str(address)] if peer_id in (None, address.peer_id) else []
            elif levels > 1 and lists < LISTS_MAX and peer_id in (None, inner[1]):
                lists += 1
                several += _listed(*inner, lookup, levels - 1)
        except ConfigError:
            continue  # other libp2p nodes can have addresses that swarmd cannot dial
    if not several:
        whose = "" if peer_id is None else f" of {peer_id}"
        raise ConfigError(
            f"the DNS name {name} lists no address{whose}: its owner must publish TXT records at "
            f"_dnsaddr.{name} such "
            'as "dnsaddr=/ip4/ADDRESS/tcp/PORT/p2p/PEER_ID"; check the spelling, or name another peer'
        )
    return several


async def _require_address(address: str, resolve: Resolve) -> None:
    """Raise ConfigError if the DNS name in an address does not resolve."""
    _, kind, name, *_ = address.split("/")
    if kind not in _FAMILIES:
        return
    try:
        async with asyncio.timeout(LOOKUP_S):
            found = list(await asyncio.to_thread(resolve, name, _FAMILIES[kind]))
    except TimeoutError:
        raise ConfigError(
            f"the DNS did not answer for {name} within {LOOKUP_S:.0f} s; retrying later"
        ) from None
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"the DNS name {name} of the peer address {address} gives no address ({_why(error)}): check the "
            "spelling and this machine's DNS, or name another peer; retrying later"
        ) from error
    if not found:
        raise ConfigError(
            f"the DNS name {name} of the peer address {address} gives no address; retrying later"
        )


def _why(error: OSError | UnicodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
