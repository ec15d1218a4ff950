"""What a text behind `--swarm` names: a preset, a file, a URL, a DNS name or a swarm id."""

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
    """How a swarm can be named."""

    PRESET = "preset"
    FILE = "file"
    URL = "url"
    DNS = "dns"
    ID = "id"
    """only peers can say what it stands for"""

    @property
    def is_remote(self) -> bool:
        return self in (Kind.URL, Kind.DNS)


def kind_of(wanted: str) -> Kind:
    """Judged by the text alone: nothing is opened."""
    if _SWARM_ID.fullmatch(wanted):
        return Kind.ID
    if wanted.startswith(DNS_PREFIX):
        return Kind.DNS
    if "://" in wanted:
        return Kind.URL
    return Kind.PRESET if wanted in PRESETS else Kind.FILE


def require_plausible(wanted: str) -> None:
    """Raises ConfigError for what can name no swarm. Nothing is opened or asked."""
    match kind_of(wanted):
        case Kind.DNS:
            dns_name(wanted)
        case Kind.URL:
            require_https(wanted, wanted)


def find_swarm(wanted: str, *, by_operator: bool = True) -> SwarmFile:
    """The swarm that `wanted` names, its tasks tried and its signature checked. Takes seconds.

    `by_operator`: the operator gave the name, so a URL may lead to this machine or its network. Raises
    ConfigError for what cannot be found, read or believed, and for an id; TaskError.
    """
    return _require_signed(wanted, load_swarm_file(*_place_and_text(wanted, local=by_operator)))


def look_at_swarm(wanted: str) -> SwarmFile:
    """As `find_swarm`, but no task is tried: a file whose source is not the usual one has no final id."""
    found, _ = read_swarm_file(*_place_and_text(wanted, local=True))
    return _require_signed(wanted, found)


def _place_and_text(wanted: str, *, local: bool) -> tuple[str, str | None]:
    """Where the manifest stands, and its text if it is not on this disk. `local`: as in `fetch_text`."""
    from swarmd.finding.fetching import fetch_text  # httpx is slow to load, and files need none

    match kind_of(wanted):
        case Kind.URL:
            return wanted, fetch_text(wanted, local=local)
        case Kind.DNS:
            return wanted, _text_of(find_pointer(wanted), wanted)
        case Kind.ID:
            raise ConfigError(
                f"{wanted[:12]} is a swarm id, and only peers can say what it stands for: give the "
                "manifest's file, URL or DNS name instead"
            )
    return wanted, None


def _text_of(pointer: Pointer, wanted: str) -> str:
    """The file to which a DNS record points. Raises ConfigError if another author signed it."""
    from swarmd.finding.fetching import fetch_text

    text = fetch_text(pointer.url, local=False)
    found, _ = read_swarm_file(pointer.url, text)
    author = None if found.charter is None else found.charter.author
    if pointer.author is not None and author != pointer.author:
        raise ConfigError(
            f"{wanted} says that {pointer.author} is the author of the swarm, and the file at {pointer.url} "
            f"is {'not signed' if author is None else f'signed by {author}'}: ask the owner of the name "
            "which is right"
        )
    return text


def _require_signed(wanted: str, found: SwarmFile) -> SwarmFile:
    """What comes over the network must be signed: its author is who may announce new versions."""
    if kind_of(wanted).is_remote and found.charter is None:
        raise ConfigError(
            f"the manifest at {wanted} is not signed: its author signs it with `swarmd swarm sign FILE`. If "
            "you trust that place, save the file and give --swarm FILE"
        )
    return found
