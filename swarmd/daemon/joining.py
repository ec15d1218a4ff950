"""Which swarm this peer is in.

In this order: what the operator named; the one that the peers given are in; the one this home was in before;
the built-in one. A home never changes its swarm. A peer whose bootstrap peers are all dead at its first start
trains in the built-in swarm, and gossip goes on knocking.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from protocol import Manifest, RejectedRecord
from swarmd.errors import ConfigError, NetworkError
from swarmd.network.interface import Network
from swarmd.observe import EventLog
from swarmd.storage import Home
from swarmd.tasks import load_manifest

DEFAULT_SWARM = "starter"
MANIFEST_ANSWER_S = 10.0  # a dead address behind a silent router answers never; p2pd gives up after 5 s
MANIFEST_ASK_S = 5.0  # between two rounds of asking every peer for a swarm that only they know


async def choose_manifest(
    wanted: str | None,
    *,
    home: Home,
    network: Network,
    peers: Sequence[str],
    events: EventLog,
    belongs_to: bytes | None = None,
) -> Manifest:
    """The manifest of the swarm to be in; it is kept in the home.

    `wanted` and `peers` are the operator's, `belongs_to` is the id of the swarm that the home's database
    knows. Raises ConfigError when they contradict the home or one another.
    """
    saved = home.manifest()
    if saved is not None and belongs_to not in (None, saved.swarm_id):
        raise ConfigError(
            f"{home.manifest_path} is damaged, or that of another swarm: this home belongs to "
            f"{_short(belongs_to)}. Put a backup of it back, or move it away and name the swarm with --swarm "
            "FILE, or with --peer one of its peers"
        )
    if wanted is None:
        manifest = await _manifest_of_any(network, peers, events) or saved or await _read(DEFAULT_SWARM)
    elif not is_swarm_id(wanted):
        manifest = await _read(wanted)
    elif saved is not None and saved.swarm_id.hex() == wanted.lower():
        manifest = saved
    else:
        manifest = await _wait_for_id(wanted.lower(), network, peers, events)
    if saved is not None and saved.swarm_id != manifest.swarm_id:
        raise ConfigError(
            f"home {home.path} belongs to the swarm {saved.name} ({saved.swarm_id.hex()[:12]}), and this is "
            f"{manifest.name} ({manifest.swarm_id.hex()[:12]}): use another --home for another swarm"
        )
    if saved is None and belongs_to not in (None, manifest.swarm_id):
        raise ConfigError(
            f"{home.manifest_path} is missing, and this home belongs to {_short(belongs_to)}, not "
            f"to {manifest.name} ({_short(manifest.swarm_id)}): put a backup back, or name the swarm with "
            "--swarm FILE, or with --peer one of its peers"
        )
    if saved is None:
        home.write_manifest(manifest.to_bytes())
    return manifest


def is_swarm_id(text: str) -> bool:
    """Whether `text` is a swarm id in hex rather than a name or a path."""
    return re.fullmatch(r"[0-9a-fA-F]{64}", text) is not None


def _short(swarm_id: bytes | None) -> str:
    return "none" if swarm_id is None else swarm_id.hex()[:12]


async def _read(name_or_path: str) -> Manifest:
    return await asyncio.to_thread(load_manifest, name_or_path)


async def _manifest_of_any(network: Network, peers: Sequence[str], events: EventLog) -> Manifest | None:
    """The manifest that the first of `peers` to answer serves; None if none of them does."""
    for address in peers:
        try:
            async with asyncio.timeout(MANIFEST_ANSWER_S):
                return Manifest.from_bytes(await network.fetch_manifest(address))
        except (NetworkError, RejectedRecord, TimeoutError) as error:
            why = str(error) or f"no answer within {MANIFEST_ANSWER_S:.0f} s"
            events.emit("warning", message=f"{address} did not say which swarm it is in: {why}")
    return None


async def _wait_for_id(wanted: str, network: Network, peers: Sequence[str], events: EventLog) -> Manifest:
    """Ask the peers until one knows the swarm: only they can say what an id stands for."""
    if not peers:
        raise ConfigError(
            f"nobody to ask what the swarm {wanted[:12]} is: name a peer of it with --peer ADDRESS"
        )
    while True:
        manifest = await _manifest_of_any(network, peers, events)
        if manifest is not None and manifest.swarm_id.hex() == wanted:
            return manifest
        if manifest is not None:
            raise ConfigError(
                f"the peers given are in the swarm {manifest.name} ({manifest.swarm_id.hex()}), not in "
                f"{wanted}: leave --swarm away to join theirs, or name a peer of the swarm you want"
            )
        events.emit("warning", message="no peer answers yet, and only they know this swarm: asking again")
        await asyncio.sleep(MANIFEST_ASK_S)
