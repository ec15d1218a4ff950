"""What a node checks and keeps of what others ask it to store: how much of it, and in whose name."""

from __future__ import annotations

import random

import pytest

from protocol import (
    SHARD_ENTRIES_MAX,
    Episode,
    KeyPair,
    PeerId,
    Placement,
    Record,
    Turn,
    TurnsRecord,
    dht_id,
    place_announcement,
    place_body,
    sign_record,
    verify_record,
)
from protocol.limits import COMPLETIONS_MAX, TURNS_MAX
from swarmd.network.dht_keeping import TURNS_MAX as TURNS_READ_MAX
from swarmd.network.dht_keeping import UNLOCATED_S, Keeping
from swarmd.network.guard import STORE_COST_TURNS, Guard
from swarmd.network.messages import STORE_ITEMS_MAX
from swarmd.network.packing import Item
from swarmd.network.peer_ids import write_peer_id
from swarmd.network.rates import GROUP, PEER, Kind
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Shelf
from tests.network.conftest import MANIFEST, announcement_envelope, key_of, record_envelope

NOW = 1_800_000_000.0
EMPTY_TURN = Turn(text="", logprob_sum_micro=0, tokens=0, bytes=0, finished=True)
TURNS = COMPLETIONS_MAX * TURNS_MAX
EPISODE = Episode(turns=(EMPTY_TURN,) * TURNS_MAX, reward_micro=0)


class Node:
    """A node in which a clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW
        self.guard = Guard(lambda: self.now)
        self.shelf = Shelf(random.Random(0))
        rules = StorageRules(lambda: MANIFEST)
        self.keeping = Keeping(rules, self.shelf, self.guard, lambda: self.now)

    def keep(self, placements: list[Placement], sender: PeerId) -> list[bool]:
        items = [Item(dht_id(each.key), each.subkey, each.value, each.expires) for each in placements]
        return self.keeping.keep(items, write_peer_id(sender))

    def locate(self, peer: PeerId, ip: str) -> None:
        self.guard.located({peer: f"/ip4/{ip}/tcp/1"})


def costly(number: int, key: KeyPair) -> Placement:
    """A valid body of 54 KB that takes as long to read as a hundred announcements."""
    record = verify_record(record_envelope(key, NOW, number), manifest=MANIFEST, now=NOW).record
    assert isinstance(record, Record)
    shared = {name: getattr(record, name) for name in TurnsRecord.model_fields if name != "completions"}
    turns = TurnsRecord(**shared, completions=(EPISODE,) * COMPLETIONS_MAX)
    return place_body(sign_record(key, turns), manifest=MANIFEST, now=NOW)


def announced(key: KeyPair, number: int = 0) -> Placement:
    """An announcement. All of them are under one key."""
    body = record_envelope(key, NOW, number)
    envelope = announcement_envelope(key, body, NOW, round=MANIFEST.round_at(NOW))
    return place_announcement(envelope, manifest=MANIFEST, now=NOW)


def test_one_sender_has_few_costly_bodies_read_and_more_later() -> None:
    node, key = Node(), key_of(1)
    bodies = [costly(number, key) for number in range(14)]
    of_a_message = TURNS_READ_MAX // TURNS
    kept = [node.keep(bodies[start:], key.peer_id) for start in range(0, len(bodies), of_a_message)]
    assert kept[0] == [True] * of_a_message + [False] * (len(bodies) - of_a_message)
    assert sum(map(sum, kept)) == int(PEER[Kind.STORE].burst / (TURNS / STORE_COST_TURNS)) < len(bodies)
    assert node.guard.refused.keys() == {"store_too_fast"}
    assert not node.guard.shuns(key.peer_id), "only the first body that is too much is held against it"
    node.now += 60.0
    assert node.keep(bodies[-1:], key.peer_id) == [True]


def test_many_names_of_one_group_have_no_more_read_than_the_group_can_afford() -> None:
    node, key = Node(), key_of(1)
    bodies, read = [costly(number, key) for number in range(2)], 0
    for number in range(30):
        peer = key_of(100 + number).peer_id
        node.locate(peer, "8.8.8.8")
        read += sum(node.keep(bodies, peer))
    assert 0 < read <= GROUP[Kind.STORE].burst / (TURNS / STORE_COST_TURNS)


def test_what_an_honest_peer_stores_at_once_is_kept() -> None:
    """As many of the longest bodies as a message can have, and their announcements."""
    node, key = Node(), key_of(1)
    bodies = [
        place_body(record_envelope(key, NOW, number, "x" * 16_000), manifest=MANIFEST, now=NOW)
        for number in range(STORE_ITEMS_MAX)
    ]
    assert all(node.keep(bodies, key.peer_id))
    assert all(node.keep([announced(key, number) for number in range(STORE_ITEMS_MAX)], key.peer_id))


def names(node: Node) -> set[bytes]:
    return {subkey[:52] for subkey in node.shelf.entries(dht_id(announced(key_of(0)).key), node.now)}


@pytest.mark.parametrize("is_gone", [False, True])
def test_names_on_one_machine_that_came_before_they_were_located_leave_places_to_others(
    is_gone: bool,
) -> None:
    """Whether they stay connected until they are located, or leave at once."""
    node = Node()
    attackers = [key_of(number) for number in range(100, 100 + SHARD_ENTRIES_MAX)]
    for key in attackers:
        assert node.keep([announced(key)], key.peer_id) == [True]
    honest = [key_of(number) for number in range(SHARD_ENTRIES_MAX // 2)]
    assert node.keep([announced(honest[0])], honest[0].peer_id) == [False]
    for key in attackers:
        if not is_gone:
            node.locate(key.peer_id, "8.8.8.8")
    node.now += UNLOCATED_S
    for number, key in enumerate(honest):
        node.locate(key.peer_id, f"9.9.{number}.9")
        assert node.keep([announced(key)], key.peer_id) == [True]
    assert {key.peer_id.encode() for key in honest} <= names(node)
