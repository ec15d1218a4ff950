"""Whose word an observer believes about new versions of the swarm that it observes."""

from __future__ import annotations

from protocol import Manifest, PeerId, RejectedRecord, verify_charter
from swarmd.errors import NetworkError
from swarmd.network.interface import Network, NetworkClosedError
from swarmd.storage import Home


async def learn_author(home: Home, manifest: Manifest, network: Network, peer: PeerId) -> None:
    """Keep the charter that `peer` gives, if this home has none: from then on its author's word counts.

    The operator chose that peer. It may know a newer version already. An observer only shows and passes on
    what it hears, so a peer that lies here moves nobody. Without an answer the next start asks again.
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
