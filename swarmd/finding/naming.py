"""The ways in which `--swarm` can name a swarm: a preset, a file, a URL, a DNS name or a swarm id."""

from __future__ import annotations

import re
from enum import Enum

from swarmd.errors import ConfigError
from swarmd.finding.records import DNS_PREFIX, Pointer, dns_name, find_pointer
from swarmd.finding.urls import require_https
from swarmd.tasks import PRESETS, SwarmFile, load_swarm_file
from swarmd.tasks.manifest import read_swarm_file

_SWARM_ID = re.compile(r"[0-9a-fA-F]{64}")


class Kind(Enum):
    """How a swarm is named."""

    PRESET = "preset"
    FILE = "file"
    URL = "url"
    DNS = "dns"
    ID = "id"
    """only peers know what it stands for"""

    @property
    def is_remote(self) -> bool:
        return self in (Kind.URL, Kind.DNS)


def kind_of(wanted: str) -> Kind:
    """Classify by the text alone; opens nothing."""
    if _SWARM_ID.fullmatch(wanted):
        return Kind.ID
    if wanted.startswith(DNS_PREFIX):
        return Kind.DNS
    if "://" in wanted:
        return Kind.URL
    return Kind.PRESET if wanted in PRESETS else Kind.FILE


def require_plausible(wanted: str) -> None:
    """Raise ConfigError if the text cannot name a swarm. Opens nothing and sends nothing."""
    match kind_of(wanted):
        case Kind.DNS:
            dns_name(wanted)
        case Kind.URL:
            require_https(wanted, wanted)


def find_swarm(wanted: str, *, by_operator: bool = True) -> SwarmFile:
    """Return the swarm that `wanted` names, after loading its tasks and verifying its signature. Takes
    seconds.

    `by_operator`: the operator gave the name, so a URL may lead to this machine or its network. Raises
    ConfigError if it cannot be found, read or trusted, or is an id; TaskError.
    """
    return _require_signed(wanted, load_swarm_file(*_place_and_text(wanted, local=by_operator)))


def look_at_swarm(wanted: str) -> SwarmFile:
    """Like `find_swarm`, but does not load tasks. If a source is not the usual one, the id is not final."""
    found, _ = read_swarm_file(*_place_and_text(wanted, local=True))
    return _require_signed(wanted, found)


def _place_and_text(wanted: str, *, local: bool) -> tuple[str, str | None]:
    """Return the manifest's location, and its text unless it is on this disk. `local`: as in `fetch_text`."""
    from swarmd.finding.fetching import fetch_text  # httpx is slow to load, and files do not need it

    match kind_of(wanted):
        case Kind.URL:
            return wanted, fetch_text(wanted, local=local)
        case Kind.DNS:
            return wanted, _text_of(find_pointer(wanted), wanted)
        case Kind.ID:
            raise ConfigError(
                f"{wanted[:12]} is a swarm id, and only peers know what it stands for: give the "
                "manifest's file, URL or DNS name instead"
            )
    return wanted, None


def _text_of(pointer: Pointer, wanted: str) -> str:
    """Fetch the file that a DNS record points to. Raises ConfigError if a different author signed it."""
    from swarmd.finding.fetching import fetch_text

    text = fetch_text(pointer.url, local=False)
    found, _ = read_swarm_file(pointer.url, text)
    author = None if found.charter is None else found.charter.author
    if pointer.author is not None and author != pointer.author:
        raise ConfigError(
            f"{wanted} names {pointer.author} as the author of the swarm, but the file at {pointer.url} "
            f"is {'not signed' if author is None else f'signed by {author}'}: ask the owner of the name "
            "which one is right"
        )
    return text


def _require_signed(wanted: str, found: SwarmFile) -> SwarmFile:
    """Require a signature on anything from the network, because its author can then announce new versions."""
    if kind_of(wanted).is_remote and found.charter is None:
        raise ConfigError(
            f"the manifest at {wanted} is not signed: its author can sign it with `swarmd swarm sign FILE`. "
            "If you trust its source, save the file and give --swarm FILE"
        )
    return found
