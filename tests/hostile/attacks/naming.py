"""DHT nodes that name peers at addresses where these are not.

An answer to a search names neighbours, and the publishers of the announcements in it, each with an address
(SPEC section 7.6.7). These nodes name the honest peers at black holes, which take a connection and never
speak, and everybody else at strangers' addresses: their own siblings, who are elsewhere and hang up to be
dialled again, identities that sign announcements, and peers that do not exist. Each answer names others.
"""

from __future__ import annotations

import random
from functools import partial

import msgpack
from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2
from hivemind.utils.multiaddr import Multiaddr

from protocol import KeyPair
from swarmd.network.messages import add_names
from tests.hostile import bombs
from tests.hostile.attacker import FIND, STORE, Attacker, node_id, paced
from tests.hostile.attacks.dialling import Strangers
from tests.hostile.figures import Figure, at_least, at_most
from tests.hostile.forging import Item
from tests.hostile.scene import LONG_S, Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

NEIGHBOURS = 8
"""In one answer about one key: no more are followed."""

NODES = {1: 1, 64: 8}
"""By identities: how many of them are nodes, each with a p2pd. Eight are as many as in `holders`."""

NEIGHBOUR_ADDRESS, PUBLISHER_ADDRESS = b"\x82\x01", b"\x8a\x01"
"""The tags of the fields 16 and 17."""

AGAIN_S = 6.0
"""Seconds between two turns. In each turn, half of the nodes hang up and the others ask for their places."""

ROUNDS = 4
"""Whose announcements are read."""

CONNECTIONS_MAX = {1: 32, 64: 256}
"""By identities, at strangers and black holes. The four addresses that a node may give without leading to its
peers make 4 and 32 dials of each victim, and p2pd may dial each again.
"""


def judge(identities: int, evidence: Evidence) -> tuple[Figure, ...]:
    did = evidence.did
    return (
        *exchanges(evidence),
        at_most("connections to strangers", did["connections"], CONNECTIONS_MAX[identities]),
        at_most("connections to services' ports", did["to_services"], 0),
        at_least("addresses named", did["named"], 100),
    )


class Namer:
    """What the nodes answer to searches and stores. They agree on nothing but the lies."""

    def __init__(self, scene: Scene, strangers: Strangers, silent: Strangers, identities: int) -> None:
        self._rng = random.Random(scene.rng.random())
        self._forger = scene.forger
        self._keys = [scene.forger.key(number) for number in range(identities)]
        self._honest = [target.peer for target in scene.targets]
        self._strangers = list(map(_binary, (*strangers.places, *strangers.services)))
        self._silent = list(map(_binary, silent.places))
        self._announced: dict[bytes, list[Item]] = {}
        self._rounds: set[int] = set()
        self.named = 0

    async def find(self, node: Attacker, data: bytes, sender: PeerID) -> bytes:
        self._announce()
        keys = dht_pb2.FindRequest.FromString(data).keys
        results = [self._result(key, sender) for key in keys]
        return bytes(dht_pb2.FindResponse(results=results, peer=node.node_info).SerializeToString())

    async def store(self, node: Attacker, data: bytes, sender: PeerID) -> bytes:
        """Claim to hold everything, and name the same peers as to a search."""
        keys = dht_pb2.StoreRequest.FromString(data).keys
        answer = dht_pb2.StoreResponse(store_ok=[True] * len(keys), peer=node.node_info)
        add_names(answer, [self._names(sender) for _ in dict.fromkeys(keys)])
        return bytes(answer.SerializeToString())

    def _announce(self) -> None:
        """One announcement of each identity and task, in each round that is read."""
        now = self._forger.round
        for round_ in set(range(now - ROUNDS + 1, now + 1)) - self._rounds:
            self._rounds.add(round_)
            for family in self._forger.manifest.tasks:
                items = [self._forger.announcement(key, family, round_) for key in self._keys]
                self._announced[items[0].key] = items

    def _names(self, sender: PeerID) -> dht_pb2.FindResult:
        nobody = [PeerID(b"\x00$\x08\x01\x12 " + self._rng.randbytes(32)) for _ in range(NEIGHBOURS)]
        known = map(_peer, self._rng.sample(self._keys, min(len(self._keys), NEIGHBOURS // 2)))
        peers = [peer for peer in (*self._honest, *known, *nobody) if peer != sender][:NEIGHBOURS]
        result = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=list(map(node_id, peers)),
            nearest_peer_ids=[peer.to_bytes() for peer in peers],
        )
        self._add(result, NEIGHBOUR_ADDRESS, [self._address(peer) for peer in peers])
        return result

    def _result(self, key: bytes, sender: PeerID) -> dht_pb2.FindResult:
        result = self._names(sender)
        if items := self._announced.get(key):
            entries: list[tuple[object, object, object]] = [
                (msgpack.unpackb(each.subkey), each.value, each.expires) for each in items
            ]
            result.type, result.expiration_time = dht_pb2.FOUND_DICTIONARY, 2e9
            result.value = bombs.dictionary(entries, float("inf"))
            self._add(result, PUBLISHER_ADDRESS, self._rng.choices(self._strangers, k=len(items)))
        return result

    def _address(self, peer: PeerID) -> bytes:
        return self._rng.choice(self._silent if peer in self._honest else self._strangers)

    def _add(self, result: dht_pb2.FindResult, tag: bytes, addresses: list[bytes]) -> None:
        self.named += len(addresses)
        result.MergeFromString(b"".join(tag + bytes([len(each)]) + each for each in addresses))


def _binary(place: tuple[str, int]) -> bytes:
    return bytes(Multiaddr(f"/ip4/{place[0]}/tcp/{place[1]}").to_bytes())


def _peer(key: KeyPair) -> PeerID:
    return PeerID.from_base58(key.peer_id)


async def misname(identities: int, scene: Scene) -> Counts:
    strangers, silent = Strangers(), Strangers("127.78.0", silent=True)
    for each in (strangers, silent):
        await each.listen(scene)
    namer = Namer(scene, strangers, silent, identities)
    nodes = [await scene.attacker(number) for number in range(NODES[identities])]
    for node in nodes:
        await node.answer(FIND, partial(namer.find, node))
        await node.answer(STORE, partial(namer.store, node))
    scene.begin()
    async for turn in paced(1 / AGAIN_S, scene.until, 100):
        for number, node in enumerate(nodes):
            for target in scene.targets:
                await (node.enter(target) if (turn + number) % 2 == 0 else node.hang_up(target))
    services = [*((strangers, place) for place in strangers.services)]
    services += [(silent, place) for place in silent.services]
    return {
        "named": namer.named,
        "asked": sum(node.asked for node in nodes),
        "connections": strangers.connections.total() + silent.connections.total(),
        "to_black_holes": silent.connections.total(),
        "to_services": sum(where.connections[place] for where, place in services),
    }


ATTACKS = tuple(
    Attack(
        f"naming-{identities}",
        f"{what}, who name peers at strangers' addresses and black holes",
        partial(misname, identities),
        partial(judge, identities),
        LONG_S,
        by_default=identities > 1,
    )
    for identities, what in ((1, "a DHT node"), (64, "eight DHT nodes and 56 more identities"))
)
