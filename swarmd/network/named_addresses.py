"""The addresses in answers about keys: which are added, and which are remembered (SPEC 7.6.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hivemind.proto import dht_pb2

from protocol import PeerId
from swarmd.network.address_book import AddressBook
from swarmd.network.messages import ADDRESS, PUBLISHER_ADDRESS, Found, add_addresses
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rules import announcer_of
from swarmd.network.shelf import Held


def name_neighbours(book: AddressBook, result: dht_pb2.FindResult) -> None:
    """Add the known addresses of the peers that a result names as neighbours."""
    add_addresses(result, ADDRESS, [book.address_of(read_peer_id(peer)) for peer in result.nearest_peer_ids])


def name_publishers(book: AddressBook, result: dht_pb2.FindResult, subkeys: Iterable[bytes]) -> None:
    """Add the known addresses of the publishers of the entries with these subkeys."""
    publishers = map(announcer_of, subkeys)
    addresses = [book.address_of(each) if each is not None else b"" for each in publishers]
    add_addresses(result, PUBLISHER_ADDRESS, addresses)


def note_named(book: AddressBook, namer: PeerId, found: Found, believed: Mapping[bytes, Held]) -> None:
    """Remember where `namer` says that its neighbours are, and the publishers of the entries that are
    believed.
    """
    for neighbour, address in zip(found.neighbours, found.neighbour_addresses, strict=False):
        book.named(read_peer_id(neighbour), address, namer)
    for item, address in zip(found.items, found.publisher_addresses, strict=False):
        publisher = announcer_of(item.subkey) if item.subkey in believed else None
        if publisher is not None:
            book.named(publisher, address, namer)
