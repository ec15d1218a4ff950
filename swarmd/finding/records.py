"""DNS TXT records: ours, which says where a swarm's manifest is, and libp2p's, which lists addresses.

    _swarmd.example.org.   TXT  "swarmd=1 url=https://example.org/swarm.toml author=12D3KooW..."
    _dnsaddr.example.org.  TXT  "dnsaddr=/ip4/192.0.2.7/tcp/41000/p2p/12D3KooW..."

A record is neither secret nor trusted; it is only a pointer. Trust comes from the signature in the file.
Source of the second: https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol import PeerId, ProtocolError, public_key_from_peer_id
from swarmd.addresses import DNS_NAME
from swarmd.errors import ConfigError
from swarmd.quoting import quoted

DNS_PREFIX = "dns:"
LOOKUP_S = 5.0  # for one name, over all of its servers
RECORDS_MAX = 32  # TXT records of one name that are examined
RECORD_CHARS_MAX = 512  # per record; a URL and a peer id take 320

_FIRST_WORD = "swarmd=1"
_WORD = re.compile(r"(url|author)=([!-~]+)")

Lookup = Callable[[str], Sequence[str]]
"""(name) -> its TXT records. Raises ConfigError."""


@dataclass(frozen=True)
class Pointer:
    """What the owner of a DNS name states about a swarm."""

    url: str
    author: PeerId | None


def find_pointer(wanted: str, lookup: Lookup | None = None) -> Pointer:
    """Return the record of `dns:NAME`. Raises ConfigError unless there is exactly one valid record."""
    place = f"_swarmd.{dns_name(wanted)}"
    mine = [text for text in (lookup or look_up)(place) if text.split(" ")[0] == _FIRST_WORD]
    if len(mine) != 1:
        raise ConfigError(
            f"{wanted}: {place} has {'no' if not mine else len(mine)} TXT records that begin with "
            f"{_FIRST_WORD}: its owner must publish exactly one, "
            f'"{_FIRST_WORD} url=https://... author=PEER_ID"'
        )
    return _read(place, mine[0])


def dns_name(wanted: str) -> str:
    """Return the name in `dns:NAME`. Raises ConfigError if it is not a valid name. Sends nothing."""
    name = wanted.removeprefix(DNS_PREFIX)
    if not DNS_NAME.fullmatch(name):
        raise ConfigError(
            f"{quoted(wanted)} is not a DNS name: expected dns:NAME, such as dns:swarm.example.org"
        )
    return name


def _read(place: str, text: str) -> Pointer:
    words: dict[str, str] = {}
    for word in text.split(" ")[1:]:
        found = _WORD.fullmatch(word)
        if found is None or found[1] in words:
            raise ConfigError(
                f"the TXT record of {place} has an unknown or repeated word, {quoted(word)}: expected "
                f'"{_FIRST_WORD} url=https://... author=PEER_ID"'
            )
        words[found[1]] = found[2]
    if "url" not in words:
        raise ConfigError(f"the TXT record of {place} has no url=: its owner must add it")
    author = words.get("author")
    try:
        if author is not None:
            public_key_from_peer_id(author)
    except ProtocolError as error:
        raise ConfigError(
            f"the TXT record of {place} names an author that is not a peer id: {error}"
        ) from error
    return Pointer(words["url"], None if author is None else PeerId(author))


def look_up(name: str) -> list[str]:
    """Look up the TXT records of a name, at most RECORDS_MAX and only ASCII ones. Raises ConfigError."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=LOOKUP_S, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise ConfigError(f"the DNS does not answer for {name}: {error}; is this machine online?") from error
    texts = [b"".join(record.strings) for record in list(answer)[:RECORDS_MAX]]
    return [text.decode() for text in texts if text.isascii() and len(text) <= RECORD_CHARS_MAX]
