"""Which swarm this peer is in.

In this order: the swarm that the operator named; the one that the given peers are in; the one that this home
was in before; the built-in one. Only `swarmd swarm accept` moves a home, so a temporary failure decides
nothing. A new home whose peers do not answer waits for them. It never joins the built-in swarm instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from protocol import Manifest, RejectedRecord, VerifiedCharter
from swarmd.addresses import parse_peer_address
from swarmd.errors import ConfigError, NetworkError
from swarmd.finding import Kind, find_swarm, kind_of, require_charter
from swarmd.finding.upgrading import refusal
from swarmd.network.interface import Network, NetworkClosedError
from swarmd.observe import EventLog
from swarmd.storage import Home
from swarmd.tasks import SwarmFile

DEFAULT_SWARM = "starter"
MANIFEST_ANSWER_S = 10.0  # a dead address behind a silent router never answers; p2pd gives up after 5 s
VERSIONS_ANSWER_S = 3.0  # only asked of a peer that gave no manifest: most are simply away
_NO_ANSWER = f"no answer within {MANIFEST_ANSWER_S:.0f} s"
MANIFEST_ASK_S = 5.0  # between two rounds of asking every peer for a swarm that only they know
MANIFEST_ASK_MAX_S = 60.0  # it doubles up to this: a peer that is back should not be kept waiting for long


@dataclass(frozen=True)
class Invitation:
    """What is known of the swarm before anybody is asked."""

    named: SwarmFile | None
    """What the operator named; None for nothing, or an id that only peers know."""
    charter: VerifiedCharter | None
    """The author's word that this home keeps from now on."""

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Where the author says that peers are."""
        return () if self.charter is None else self.charter.charter.bootstrap


async def read_invitation(wanted: str | None, home: Home) -> Invitation:
    """Read what `--swarm` names, in a thread because it takes seconds. Changes nothing in the home.

    Raises ConfigError for what cannot be read or believed; see `swarmd.finding`.
    """
    saved = home.charter()
    if wanted is None or kind_of(wanted) is Kind.ID:
        return Invitation(None, saved)
    named = await asyncio.to_thread(find_swarm, wanted)
    return Invitation(named, require_charter(saved, named, wanted, home=str(home.path)))


async def choose_manifest(
    wanted: str | None,
    *,
    named: SwarmFile | None = None,
    home: Home,
    network: Network,
    peers: Sequence[str],
    events: EventLog,
    belongs_to: bytes | None = None,
) -> Manifest:
    """The manifest of the swarm to join. It is kept in the home.

    `wanted` and `peers` are the operator's, `named` is what `wanted` stands for. `belongs_to` is the id of
    the swarm that the home's database knows. Waits as long as no peer answers and only they know the swarm.

    Raises ConfigError if the operator, the peers and the home contradict one another, or if no peer serves a
    manifest that can be read; NetworkClosedError.
    """
    others = [address for address in peers if parse_peer_address(address).peer_id != network.peer_id]
    saved = home.manifest()
    if saved is not None and belongs_to not in (None, saved.swarm_id):
        raise ConfigError(
            f"{home.manifest_path} is damaged, or is another swarm's: this home belongs to "
            f"{_short(belongs_to)}. Put a backup of it back, or move it away and name the swarm with --swarm "
            "FILE, or with --peer one of its peers"
        )
    if named is not None:
        manifest = named.manifest
    elif wanted is None:
        manifest = await _unnamed(saved, network, others, events)
    elif saved is not None and saved.swarm_id.hex() == wanted.lower():
        manifest = saved
    else:
        manifest = await _wait_for_id(wanted.lower(), network, others, events)
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


def _short(swarm_id: bytes | None) -> str:
    return "none" if swarm_id is None else swarm_id.hex()[:12]


async def _unnamed(
    saved: Manifest | None, network: Network, peers: Sequence[str], events: EventLog
) -> Manifest:
    """The swarm to join if the operator named none."""
    if not peers:
        return saved or (await asyncio.to_thread(find_swarm, DEFAULT_SWARM)).manifest
    if saved is None:
        return await _wait_for_manifest(network, peers, events)
    manifest, _ = await _ask_each(network, peers, events)
    return manifest or saved


async def _wait_for_id(wanted: str, network: Network, peers: Sequence[str], events: EventLog) -> Manifest:
    """Only peers can say what an id stands for."""
    if not peers:
        raise ConfigError(
            f"nobody to ask what the swarm {wanted[:12]} is: name a peer of it with --peer ADDRESS"
        )
    manifest = await _wait_for_manifest(network, peers, events)
    if manifest.swarm_id.hex() != wanted:
        raise ConfigError(
            f"the peers given are in the swarm {manifest.name} ({manifest.swarm_id.hex()}), not in "
            f"{wanted}: leave out --swarm to join theirs, or name a peer of the swarm you want"
        )
    return manifest


async def _wait_for_manifest(network: Network, peers: Sequence[str], events: EventLog) -> Manifest:
    """Ask the peers until one serves a manifest. Raises ConfigError if all of them serve something else."""
    pause = MANIFEST_ASK_S
    while True:
        manifest, silent = await _ask_each(network, peers, events)
        if manifest is not None:
            return manifest
        if not silent:
            raise ConfigError(
                "none of the peers given serves a manifest that this version can read: name another peer, or "
                "name the swarm with --swarm"
            )
        events.emit(
            "warning",
            message=f"{silent} of {len(peers)} peers given do not answer, and only they know which swarm to "
            f"join: asking again in {pause:.0f} s. Check that they run, and that this network lets TCP out "
            "to their ports: one that lets nothing out but port 443 needs a peer that listens there, with "
            "--port 443. To start without any, name the swarm with --swarm",
        )
        await asyncio.sleep(pause)
        pause = min(2 * pause, MANIFEST_ASK_MAX_S)


async def _other_version(network: Network, address: str) -> str | None:
    """Why the peer at `address` cannot be understood, if it says that it speaks another protocol."""
    peer = parse_peer_address(address).peer_id
    try:
        async with asyncio.timeout(VERSIONS_ANSWER_S):
            return refusal(peer, await network.ask_versions(peer))
    except (NetworkError, TimeoutError):
        return None


async def _ask_each(network: Network, peers: Sequence[str], events: EventLog) -> tuple[Manifest | None, int]:
    """The manifest of the first of `peers` that serves one, and how many before it did not answer."""
    silent = 0
    for address in peers:
        try:
            async with asyncio.timeout(MANIFEST_ANSWER_S):
                return Manifest.from_bytes(await network.fetch_manifest(address)), silent
        except NetworkClosedError:
            raise
        except (NetworkError, TimeoutError) as error:
            silent += 1
            why = await _other_version(network, address) or str(error) or _NO_ANSWER
        except RejectedRecord as error:
            why = str(error)
        events.emit("warning", message=f"{address} did not say which swarm it is in: {why}")
    return None, silent
