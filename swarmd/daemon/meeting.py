"""Which peers a peer dials when it starts: those the operator named, and those of earlier runs.

Gossip tries again later if a peer does not answer, so the start does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol import Manifest, PeerId
from swarmd.addresses import parse_peer_address, well_formed
from swarmd.errors import NetworkError
from swarmd.network.interface import ClockSkewError, Network, NetworkClosedError
from swarmd.observe import EventLog
from swarmd.storage import Database

REMEMBERED_MAX = 64  # peers of earlier runs handed to gossip, newest first
CONNECT_FIRST_MAX = 16  # addresses dialled before the first step; the rest is gossip's

Known = tuple[tuple[PeerId, tuple[str, ...]], ...]
"""Peers and their possible addresses, those named by the operator first."""


async def meet(
    named: Sequence[str],
    *,
    manifest: Manifest,
    network: Network,
    database: Database,
    events: EventLog,
    clock: Callable[[], float],
) -> Known:
    """Dial the first known peers and report how many answered. Returns all known peers.

    Peers that the operator banned are left out. `named` addresses are remembered for the next start even if
    no peer answers there now. If the clocks of all peers that answer disagree with this one, a warning says
    so and health keeps reporting it: the clock may be set later, or theirs may be wrong.
    """
    known = _known(named, network.peer_id, database, clock())
    addresses = [address for _, several in known for address in several][:CONNECT_FIRST_MAX]
    given = {str(parse_peer_address(text)) for text in named}
    answered = 0
    for by_operator in (True, False):
        if several := [address for address in addresses if (address in given) == by_operator]:
            answered += await _connect(network, several, events, by_operator=by_operator)
    fields = {"swarm": manifest.name, "round": manifest.round_at(clock())}
    if answered:
        events.emit("joined", peers=answered, **fields)
    else:
        why = "no known address answers, trying again" if addresses else "no peer is known"
        events.emit("alone", message=f"{why}: training alone until a peer connects", **fields)
    return known


def _known(named: Sequence[str], own: PeerId, database: Database, now: float) -> Known:
    earlier = database.peers.known(REMEMBERED_MAX)
    peers: dict[PeerId, dict[str, None]] = {}
    for address in map(parse_peer_address, named):
        peers.setdefault(address.peer_id, {})[address.text] = None
    given = set(peers)
    for seen in earlier:
        peers.setdefault(PeerId(seen.peer_id), {}).update(dict.fromkeys(well_formed(seen.addresses)))
    banned = {peer for peer, word in database.acquaintances.words().items() if word == "ban"}
    for peer in {own, *banned}:
        peers.pop(peer, None)
    for peer in given & set(peers):
        database.peers.seen(peer, tuple(peers[peer]), now=now)
    return tuple((peer, tuple(addresses)) for peer, addresses in peers.items())


async def _connect(network: Network, addresses: Sequence[str], events: EventLog, *, by_operator: bool) -> int:
    """Return how many answered. Temporary failures are left to gossip."""
    try:
        return await network.connect(addresses, named=by_operator)
    except NetworkClosedError:
        raise
    except ClockSkewError as error:
        events.emit("warning", message=f"{error}; training alone for now")
    except NetworkError as error:
        events.emit("warning", message=f"the first attempt to reach the swarm failed: {error}")
    return 0
