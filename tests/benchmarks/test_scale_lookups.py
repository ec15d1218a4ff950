"""The simulated lookups of p2pd's own DHT: whom they ask, when they end, and what is computed from them."""

from __future__ import annotations

import random

import pytest

from benchmarks.scale.kademlia import BETA, BUCKET_SIZE, REFRESH_MINUTES, Lookup, Nodes, mean, refresh, steady
from benchmarks.scale.lookups import NAMED_BYTES, Measured, fit

BIG = Nodes(2_000, 1)
EVERYBODY = frozenset(range(2_000))


def keys(count: int) -> list[int]:
    rng = random.Random(3)
    return [rng.getrandbits(64) for _ in range(count)]


def test_a_table_holds_twenty_of_each_part_and_all_of_the_nearest():
    own = int(BIG.ids[7])
    table = set(BIG.table(7).tolist())
    prefixes = BIG.prefix_lengths(own)
    assert 7 not in table
    sizes = [sum(prefixes[node] == prefix for node in table) for prefix in range(5)]
    assert sizes == [BUCKET_SIZE] * 5
    others = [node for node in range(BIG.size) if node != 7]
    nearest = sorted(others, key=lambda node: int(BIG.ids[node]) ^ own)[: BUCKET_SIZE // 2]
    assert set(nearest) <= table


def test_a_lookup_asks_the_nearest_of_all_nodes():
    for key in keys(10):
        lookup = Lookup(BIG, 7, key, random.Random(1), EVERYBODY)
        lookup.run()
        nearest = sorted(EVERYBODY - {7}, key=lambda node: int(BIG.ids[node]) ^ key)[:BETA]
        assert lookup.asked.issuperset(nearest)


def test_a_lookup_dials_whom_it_asks_unless_they_are_connected():
    for key in keys(5):
        connected = Lookup(BIG, 7, key, random.Random(1), EVERYBODY).run()
        alone = Lookup(BIG, 7, key, random.Random(1), frozenset()).run()
        assert connected.dialled == 0
        assert BUCKET_SIZE <= alone.dialled <= alone.asked


def test_all_of_a_small_swarm_are_asked_once():
    nodes = Nodes(8, 1)
    for key in keys(5):
        lookup = Lookup(nodes, 0, key, random.Random(1), frozenset(range(8)))
        lookup.run()
        assert lookup.asked == set(range(1, 8))


def test_the_lookup_of_a_peer_ends_once_it_is_connected():
    rng, alone = random.Random(1), frozenset[int]()
    of_peers = [Lookup(BIG, 7, int(BIG.ids[peer]), rng, alone, target=peer).run() for peer in range(10, 40)]
    of_keys = [Lookup(BIG, 7, key, rng, alone).run() for key in keys(30)]
    assert mean(of_peers).dialled < 0.7 * mean(of_keys).dialled


def test_a_refresh_looks_up_more_parts_in_a_larger_swarm():
    lookups = []
    for size in (16, 2_000):
        nodes = Nodes(size, 1)
        lookups.append(refresh(nodes, 0, random.Random(1), frozenset(range(size)))[1])
    assert lookups[0] < lookups[1] <= 18


def test_where_all_are_connected_nobody_is_looked_up():
    found = steady(50, 5.0, 49, 1, draws=5)
    assert found.lookups == found.search.asked == found.refresh.dialled == 0
    assert found.refresh.asked > 49 / REFRESH_MINUTES


def test_the_more_are_dialled_the_more_addresses_are_remembered():
    few, many = (steady(2_000, dials, 40, 1, draws=20) for dials in (2.0, 30.0))
    assert few.known < many.known < 1.0
    assert few.lookups < many.lookups < 30.0


def test_the_costs_that_produced_some_measurements_are_found_again():
    rng, measured = random.Random(1), []
    for size, connected in ((8, 0), (16, 16), (32, 0), (32, 16)):
        counted = Lookup(Nodes(size, 1), 0, rng.getrandbits(64), rng, frozenset(range(connected))).run()
        sent = counted.asked * 250.0 + counted.dialled * 4_000.0 + counted.named * NAMED_BYTES
        measured.append(Measured(size, "of a key", sent, counted))
    assert fit(measured) == pytest.approx((250.0, 4_000.0))


def test_a_peer_of_which_we_have_no_address_is_seldom_known_to_p2pd():
    """It was not connected, or our own address book would have it."""
    swarm = steady(2_000, 30.0, 40, 1, unaided=0.5, draws=20)
    assert swarm.lookups > 0.5 * 30.0 * (1 - swarm.known)
