"""Decide which swarm this peer joins.

In this order: the swarm that the operator named; the one that the given peers are in; the one that this home
was in before; the built-in one. Only `swarmd swarm accept` moves a home to another swarm, so a temporary
failure decides nothing. If none of the given peers answers, a new home waits for them. It never joins the
built-in swarm instead.
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
VERSIONS_ANSWER_S = 3.0  # asked only of a peer that gave no manifest: most are simply offline
_NO_ANSWER = f"no answer within {MANIFEST_ANSWER_S:.0f} s"
MANIFEST_ASK_S = 5.0  # pause before asking every peer again for a swarm that only they know
MANIFEST_ASK_MAX_S = 60.0  # the pause doubles up to this, so that a peer that returns is noticed soon


@dataclass(frozen=True)
class Invitation:
    """What is known of the swarm before any peer is asked."""

    named: SwarmFile | None
    """The swarm that the operator named; None if none was named, or if only peers can resolve its id."""
    charter: VerifiedCharter | None
    """The author's charter that this home keeps from now on."""

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Addresses of peers, according to the author."""
        return () if self.charter is None else self.charter.charter.bootstrap


async def read_invitation(wanted: str | None, home: Home) -> Invitation:
    """Read what `--swarm` names, in a thread because it takes seconds. Changes nothing in the home.

    Raises ConfigError for anything that cannot be read or is not believed; see `swarmd.finding`.
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
    """Return the manifest of the swarm to join, and keep it in the home.

    `wanted` and `peers` are the operator's; `named` is what `wanted` resolved to. `belongs_to` is the swarm
    id in the home's database. If only peers know the swarm, waits until one answers.

    Raises ConfigError if the operator, the peers and the home contradict one another, or if no peer serves a
    readable manifest; NetworkClosedError.
    """
    others = [address for address in peers if parse_peer_address(address).peer_id != network.peer_id]
    saved = home.manifest()
    if saved is not None and belongs_to not in (None, saved.swarm_id):
        raise ConfigError(
            f"{home.manifest_path} is damaged or belongs to another swarm: this home belongs to "
            f"{_short(belongs_to)}. Restore a backup of it, or move it away and name the swarm with --swarm "
            "FILE, or one of its peers with --peer"
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
            f"home {home.path} belongs to the swarm {saved.name} ({saved.swarm_id.hex()[:12]}), not to "
            f"{manifest.name} ({manifest.swarm_id.hex()[:12]}): use a different --home for each swarm"
        )
    if saved is None and belongs_to not in (None, manifest.swarm_id):
        raise ConfigError(
            f"{home.manifest_path} is missing, and this home belongs to {_short(belongs_to)}, not "
            f"to {manifest.name} ({_short(manifest.swarm_id)}): restore a backup, or name the swarm with "
            "--swarm FILE, or one of its peers with --peer"
        )
    if saved is None:
        home.write_manifest(manifest.to_bytes())
    return manifest


def _short(swarm_id: bytes | None) -> str:
    return "none" if swarm_id is None else swarm_id.hex()[:12]


async def _unnamed(
    saved: Manifest | None, network: Network, peers: Sequence[str], events: EventLog
) -> Manifest:
    """Return the swarm to join if the operator named none."""
    if not peers:
        return saved or (await asyncio.to_thread(find_swarm, DEFAULT_SWARM)).manifest
    if saved is None:
        return await _wait_for_manifest(network, peers, events)
    manifest, _ = await _ask_each(network, peers, events)
    return manifest or saved


async def _wait_for_id(wanted: str, network: Network, peers: Sequence[str], events: EventLog) -> Manifest:
    """Ask peers for the manifest behind an id. Only they can resolve it."""
    if not peers:
        raise ConfigError(
            f"nobody to ask what the swarm {wanted[:12]} is: name one of its peers with --peer ADDRESS"
        )
    manifest = await _wait_for_manifest(network, peers, events)
    if manifest.swarm_id.hex() != wanted:
        raise ConfigError(
            f"the given peers are in the swarm {manifest.name} ({manifest.swarm_id.hex()}), not in "
            f"{wanted}: leave out --swarm to join theirs, or name a peer of the one you want"
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
                "none of the peers in --peer serves a manifest that this version can read: name another "
                "peer, or name the swarm with --swarm"
            )
        events.emit(
            "warning",
            message=f"{silent} of {len(peers)} peers in --peer do not answer, and only they know which "
            f"swarm to join: asking again in {pause:.0f} s. Check that they run, and that this network lets "
            "TCP out to their ports: a network that lets nothing out but port 443 needs a peer started with "
            "--port 443. To start without them, name the swarm with --swarm",
        )
        await asyncio.sleep(pause)
        pause = min(2 * pause, MANIFEST_ASK_MAX_S)


async def _other_version(network: Network, address: str) -> str | None:
    """Return why the peer at `address` cannot be understood, if it reports a different protocol version."""
    peer = parse_peer_address(address).peer_id
    try:
        async with asyncio.timeout(VERSIONS_ANSWER_S):
            return refusal(peer, await network.ask_versions(peer))
    except (NetworkError, TimeoutError):
        return None


async def _ask_each(network: Network, peers: Sequence[str], events: EventLog) -> tuple[Manifest | None, int]:
    """Return the first manifest that one of `peers` serves, and how many peers before it did not answer."""
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
