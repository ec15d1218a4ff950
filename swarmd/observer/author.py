"""Learns which author an observer trusts about new versions of the swarm that it observes."""

from __future__ import annotations

from protocol import Manifest, PeerId, RejectedRecord, verify_charter
from swarmd.errors import NetworkError
from swarmd.network.interface import Network, NetworkClosedError
from swarmd.storage import Home


async def learn_author(home: Home, manifest: Manifest, network: Network, peer: PeerId) -> None:
    """Store the charter that `peer` sends if this home has none. From then on its author is trusted.

    The operator chose that peer. It may already know a newer version. An observer only shows and forwards
    what it receives, so a lie here moves no peer. Without an answer, the next start asks again.
    """
    if home.charter() is not None:
        return
    try:
        charter = verify_charter(await network.ask_charter(peer))
    except NetworkClosedError:
        raise
    except (NetworkError, RejectedRecord):
        return
    if charter.charter.name == manifest.name:
        home.write_charter(charter)
