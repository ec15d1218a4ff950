"""Connects to a peer at a known address before it is asked, so that p2pd need not look it up."""

from __future__ import annotations

import asyncio

from protocol import PeerId
from swarmd.network.address_book import AddressBook
from swarmd.network.binary_addresses import write_address
from swarmd.network.control import P2PD_ERRORS, Control
from swarmd.network.peer_ids import write_peer_id

INTRODUCTION_SECONDS = 1.0
"""Seconds to wait for a peer at a known address: three round trips of 300 ms. p2pd goes on dialling, looks
the peer up if nobody answers, and lets a call wait for that.
"""


async def introduce(control: Control, book: AddressBook, peer: PeerId) -> None:
    """Connect to `peer` if it is not connected and `book` has an address. It may be in vain: the call that
    follows tells.
    """
    addresses = book.to_dial(peer)
    if not addresses:
        return
    try:
        async with asyncio.timeout(INTRODUCTION_SECONDS):
            await control.dial(
                write_peer_id(peer), [write_address(address.transport) for address in addresses]
            )
    except (TimeoutError, *P2PD_ERRORS):
        book.missed(peer, addresses)
    else:
        book.reached(peer, addresses)
