"""Which peers in full buckets of the routing table are asked whether they are still there."""

from __future__ import annotations

from hivemind.dht.routing import DHTID, RoutingTable
from hivemind.p2p import PeerID

from swarmd.network.bucket_checks import CHECK_S, PROVEN_S, BucketChecks
from swarmd.network.dht_ids import node_id_of
from swarmd.network.peer_ids import write_peer_id
from tests.gossip.making import key

SIZE = 4


def peer(number: int) -> PeerID:
    return PeerID(write_peer_id(key(number).peer_id))


class Scene:
    """A routing table with one full bucket, whose peers have been silent for long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.silent: dict[PeerID, float] = {}
        self.table = RoutingTable(DHTID(0), SIZE, 1)
        self.checks = BucketChecks(self.table, lambda: self.now)
        far = [each for each in map(peer, range(200)) if node_id_of(each) >> 159]
        self.members, self.newcomers = far[:SIZE], far[SIZE:]
        for each in map(peer, range(200, 260)):  # splits the table: the far half has its own bucket
            if not node_id_of(each) >> 159:
                self.enter(each)
        for each in self.members:
            self.enter(each)

    def enter(self, newcomer: PeerID) -> PeerID | None:
        return self.checks.enter(
            node_id_of(newcomer), newcomer, lambda each: self.silent.get(each, PROVEN_S + 1.0)
        )

    def meet(self) -> PeerID | None:
        return self.enter(self.newcomers.pop())


def test_of_a_full_bucket_the_peer_heard_longest_ago_is_asked():
    scene = Scene()
    scene.now += CHECK_S
    assert scene.meet() == scene.members[0]


def test_newcomers_in_a_row_cause_one_question_and_the_next_one_goes_to_the_next_peer():
    scene = Scene()
    scene.now += CHECK_S
    asked = [scene.meet() for _ in range(10)]
    assert [each for each in asked if each] == scene.members[:1]
    scene.now += CHECK_S
    assert scene.meet() == scene.members[1]


def test_a_peer_that_could_not_be_asked_yet_is_asked_later():
    scene = Scene()
    scene.now += CHECK_S
    scene.meet()
    assert scene.enter(scene.members[0]) is None  # it answered
    for _ in range(5):
        scene.meet()
    scene.now += CHECK_S
    assert scene.meet() == scene.members[1]


def test_a_peer_that_answered_lately_is_not_asked_and_moves_to_the_end():
    scene = Scene()
    scene.now += CHECK_S
    scene.silent[scene.members[0]] = PROVEN_S - 1.0
    assert scene.meet() is None
    assert scene.meet() == scene.members[1]


def test_newcomers_displace_nobody():
    scene = Scene()
    for _ in range(50):
        scene.now += CHECK_S
        scene.meet()
    known = scene.table.uid_to_peer_id.values()
    bucket = scene.table.buckets[scene.table.get_bucket_index(node_id_of(scene.members[0]))]
    assert set(bucket.nodes_to_peer_id.values()) == set(scene.members)
    assert set(scene.members) <= set(known)


def test_only_the_newest_peers_without_a_slot_are_remembered():
    scene = Scene()
    met = scene.newcomers[: -3 * SIZE - 1 : -1]
    for _ in met:
        scene.meet()
    full = scene.table.buckets[scene.table.get_bucket_index(node_id_of(met[0]))]
    assert list(full.replacement_nodes.values()) == met[-SIZE:]
