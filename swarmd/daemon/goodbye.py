"""The last status of a peer that leaves in good order, so that other peers do not take its silence for an
outage.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from swarmd.errors import NetworkError
from swarmd.gossip import Gossip
from swarmd.network.interface import Network

GOODBYE_S = 2.0
"""Seconds for the goodbye to reach the peers that store it. It usually takes tenths of a second; a stop
should not hang.
"""


async def say_goodbye(gossip: Gossip, network: Network, now: float) -> None:
    """Publish a last status. Peers that remain read it within their usual 15 seconds."""
    goodbye = gossip.goodbye(now)
    if goodbye is None:
        return
    with suppress(NetworkError, TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await network.publish_status(goodbye.envelope, goodbye.shards)
