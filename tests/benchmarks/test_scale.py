"""The simulator of large swarms: what it replays, what it adds up, and that its bytes are the real ones."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hivemind.proto import dht_pb2

from benchmarks.scale import real, sizes
from benchmarks.scale.crowd import NEAR, Crowd
from benchmarks.scale.kademlia import steady
from benchmarks.scale.load import load_of
from benchmarks.scale.peer import Ledger
from benchmarks.scale.publications import Publications, announcements_key
from benchmarks.scale.real import LOOPBACK_S, WARM_S, measure
from benchmarks.scale.report import Result, flatness, purposes, table
from benchmarks.scale.simulated import Outcome, Setting, simulate
from benchmarks.scale.tally import Flow, Purpose, Tally, To
from benchmarks.scale.workload import MANIFEST, RECORD_BYTES, STEP_S, demand, group, key_of
from protocol import SHARD_ENTRIES_MAX, SHARDS_MAX, check_stored
from swarmd import gossip as g
from swarmd.network.binary_addresses import write_address
from swarmd.network.dht_storage import with_entries
from swarmd.network.messages import ADDRESS, PUBLISHER_ADDRESS, add_addresses, add_names, ask_for_names
from swarmd.network.packing import write_bin
from swarmd.network.shelf import Held
from swarmd.network.simulation import EPOCH_S

SMALL = Setting(size=120, real=3, newcomers=1, warm_s=25.0, measured_s=20.0)
WHOLE = Setting(size=5, real=5, newcomers=0, warm_s=20.0, measured_s=20.0)
NODE = dht_pb2.NodeInfo(node_id=bytes(20))
SENDER = dht_pb2.NodeInfo(node_id=bytes(20))
BINARY = write_address("/ip4/192.0.2.7/tcp/41000")
add_addresses(SENDER, ADDRESS, [BINARY])


@pytest.fixture(scope="module")
def small() -> Outcome:
    return simulate(SMALL)


@pytest.fixture(scope="module")
def whole() -> Outcome:
    return simulate(WHOLE)


def named_nodes() -> dht_pb2.FindResult:
    result = dht_pb2.FindResult(nearest_node_ids=[bytes(20)] * 8, nearest_peer_ids=[bytes(38)] * 8)
    add_addresses(result, ADDRESS, [BINARY] * 8)
    return result


@pytest.mark.parametrize("entries", [0, 1, 20, 64])
def test_answers_are_as_long_as_the_real_encoders_write_them(entries: int):
    held = {bytes([i]) * 60: Held(bytes(340 + i), 2e9) for i in range(entries)}
    dictionary = sizes.dictionary((len(subkey), len(each.value)) for subkey, each in held.items())
    result = with_entries(named_nodes(), held)
    assert dictionary == len(result.value)
    add_addresses(result, PUBLISHER_ADDRESS, [BINARY] * entries)
    answer = dht_pb2.FindResponse(results=[result] * 2, peer=NODE).SerializeToString()
    assert sizes.find_answer([sizes.result(8, dictionary, entries)] * 2) == len(answer)


@pytest.mark.parametrize("count", [1, 4])
def test_requests_are_as_long_as_the_real_encoders_write_them(count: int):
    find = dht_pb2.FindRequest(keys=[bytes(20)] * count, peer=SENDER)
    assert sizes.find_request(count) == len(find.SerializeToString())
    subkey, value = write_bin(bytes(60)), write_bin(bytes(358))
    store = dht_pb2.StoreRequest(
        keys=[bytes(20)] * count,
        subkeys=[subkey] * count,
        values=[value] * count,
        expiration_time=[2e9] * count,
        in_cache=[False] * count,
        peer=SENDER,
    )
    assert sizes.store_request([(len(subkey), len(value))] * count) == len(store.SerializeToString())
    answer = dht_pb2.StoreResponse(store_ok=[True] * count, peer=NODE)
    assert sizes.store_answer(count) == len(answer.SerializeToString())
    ask_for_names(store)
    add_names(answer, [named_nodes()] * count)
    with_names = sizes.store_request([(len(subkey), len(value))] * count, names=True)
    assert with_names == len(store.SerializeToString())
    assert sizes.store_answer(count, [8] * count) == len(answer.SerializeToString())


def test_a_record_has_16_kib():
    machine = g.Gossip(key=key_of(1, 1), manifest=MANIFEST, rng=random.Random(1))
    machine.handle(demand(), EPOCH_S)
    (blob,) = machine.handle(group(random.Random(2), 1), EPOCH_S)
    assert isinstance(blob, g.StoreBlob)
    assert len(blob.envelope) == pytest.approx(RECORD_BYTES, rel=0.01)


def test_the_nodes_nearest_to_a_key_are_those_of_least_xor_distance():
    crowd, key = Crowd(200, 3), random.Random(1).getrandbits(160)
    by_distance = sorted(range(200), key=lambda number: crowd.nodes[number].place ^ key)
    assert list(crowd.nearest(key, NEAR)) == by_distance[:NEAR]


def test_a_settled_node_knows_its_own_part_of_the_space_and_some_of_each_other_part():
    crowd = Crowd(2_000, 1)
    own = crowd.nodes[0].place >> 155
    known = [crowd.nodes[number].place >> 155 for number in crowd.table(0)]
    parts = [node.place >> 155 for node in crowd.nodes]
    assert known.count(own) == parts.count(own) - 1
    assert all(known.count(part) == 20 for part in set(parts) - {own})


def test_what_statistical_peers_publish_is_what_a_storing_node_accepts():
    crowd = Crowd(30, 1)
    publications = Publications(crowd, 0, 1, lambda: 1)
    now = EPOCH_S + 65.0
    round_ = MANIFEST.round_at(int(now)) - 1
    found = 0
    keys = [announcements_key(round_, task.task_id, 0) for task in MANIFEST.tasks]
    for key in [*keys, *publications.status_keys]:
        for subkey, held in publications.entries(crowd.nearest(key, 1)[0], key, now).items():
            check_stored(key.to_bytes(20), subkey, held.value, held.expires, manifest=MANIFEST, now=now)
            found += 1
    assert found == 60


def test_a_full_key_holds_no_more_than_a_shelf_does():
    publications = Publications(Crowd(900, 1), 0, 1, lambda: 1)
    now = EPOCH_S + 65.0
    key = announcements_key(MANIFEST.round_at(int(now)) - 1, MANIFEST.tasks[0].task_id, 0)
    assert len(publications.live(key, now)) == SHARD_ENTRIES_MAX


def test_the_same_seed_plays_the_same_swarm(small: Outcome):
    again, other = simulate(SMALL), simulate(dataclasses.replace(SMALL, seed=2))
    assert again.tallies == small.tallies
    assert again.first_external_s == small.first_external_s
    assert other.tallies != small.tallies


def test_where_all_peers_are_machines_what_is_asked_is_what_is_served(whole: Outcome):
    assert sum(tally.sent for tally in whole.tallies) == sum(served.received for served in whole.served)
    assert sum(tally.received for tally in whole.tallies) == sum(served.sent for served in whole.served)
    load = load_of(whole)
    assert load.received.sum() == pytest.approx(load.sent.sum())


def test_a_crowd_serves_as_much_as_its_peers_ask(small: Outcome):
    load = load_of(small)
    assert load.served_calls.sum() == pytest.approx(load.calls.sum() / 2, rel=0.1)
    assert load.received.sum() == pytest.approx(load.sent.sum(), rel=0.1)
    assert load.served_calls.max() < 20 * load.served_calls.mean()


def test_announcements_of_peers_that_use_all_shards_are_stored_over_two_rounds():
    crowd = Crowd(40, 1)
    shards = {width: Publications(crowd, 0, 1, lambda width=width: width) for width in (1, SHARDS_MAX)}
    began = MANIFEST.round_start(100)
    for each in shards.values():
        for round_ in (99, 100, 101):
            each.news(round_)
    early = {width: each.stored_in(began, began + 60.0) for width, each in shards.items()}
    assert early[1][100] > 35, "all of a round in its minute"
    assert 5 < early[SHARDS_MAX][100] < 20, "a quarter of them"
    assert early[SHARDS_MAX][99] > early[SHARDS_MAX][100], "and more of the round before"


def test_a_minute_is_at_least_as_busy_as_all_of_the_time(small: Outcome):
    load = load_of(small)
    assert load.served_in_a_minute is not None
    assert load.served_in_a_minute.max() >= 0.9 * load.served_calls.max()


def test_a_minute_has_only_the_calls_of_a_minute(small: Outcome):
    greetings = Tally()
    greetings.flows[Purpose.GREET, To.ANYBODY] = Flow(calls=600.0)
    six_minutes = dataclasses.replace(
        small, setting=dataclasses.replace(SMALL, measured_s=360.0), tallies=[greetings] * len(small.tallies)
    )
    load = load_of(six_minutes)
    assert load.served_in_a_minute is not None
    calls = load.served_in_a_minute * 60.0
    assert calls == pytest.approx(calls.round()), "drawn in whole calls, so they vary as those of a minute"
    assert calls.mean() == pytest.approx(100.0, rel=0.1)


def test_the_busiest_minute_of_a_swarm_of_machines_alone_is_not_measured(whole: Outcome):
    p2pd = steady(5, 5.0, 4, 1, draws=5)
    assert "| busiest node: the same in a minute | not measured |" in table(
        [Result(whole, load_of(whole), p2pd, 1.0)]
    )


def test_real_machines_pull_from_the_crowd_what_their_trainers_use_and_newcomers_too(small: Outcome):
    pulled = small.pulled / len(small.tallies) / SMALL.measured_s * 60
    assert 8 <= pulled <= 40
    assert all(tally.of(Purpose.PULL).calls > 0 for tally in small.tallies)
    assert all(seconds < SMALL.measured_s for seconds in small.first_external_s)
    assert all(age >= 0.0 for age in small.ages)


def test_only_what_the_measured_machines_pull_has_an_age(small: Outcome):
    assert len(small.ages) == small.pulled


def test_real_and_simulated_swarms_count_the_same_records(whole: Outcome):
    ledger = Ledger()
    for number, made in enumerate((99.0, 100.0, 100.0 + STEP_S / 2 - 1.0, 100.0 + STEP_S / 2)):
        ledger.published(bytes([number]), made)
        theirs = Ledger()
        theirs.became_usable(bytes([number]), made + 3.0)
        theirs.became_usable(bytes([number]), made + number)
        ledger.add(theirs)
    ledger.published(b"not used", 100.0)
    assert ledger.waits(100.0, 100.0 + STEP_S) == [[3.0, 1.0], [3.0, 2.0]], "none before, none at the end"
    assert WHOLE.measured_s < STEP_S / 2
    assert whole.ages
    assert whole.firsts == whole.lasts == [], "all of them are at the end"


def test_the_report_has_a_column_for_each_size(small: Outcome, whole: Outcome):
    p2pd = steady(120, 5.0, 40, 1, draws=5)
    results = [Result(each, load_of(each), p2pd, 1.0) for each in (whole, small)]
    for text in (table(results), purposes(results)):
        assert text.splitlines()[0].endswith("| 5 peers | 120 peers |")
        assert {line.count("|") for line in text.splitlines()} == {4}
        assert "nan" not in text
    assert flatness(results).startswith("120 peers against 5")


@pytest.mark.parametrize("option", ["--wire", "--lookups"])
def test_bytes_on_the_wire_are_refused_without_a_network_namespace(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv(real.NAMESPACE, raising=False)
    monkeypatch.setenv("PATH", "")  # so that there is no unshare
    for measuring in (real.on_the_wire, real.p2pds_lookups):
        monkeypatch.setattr(measuring, "main", lambda: pytest.fail("measured anyway"))
    assert real.main((), 60.0, wire=option == "--wire", lookups=option == "--lookups") == 1
    told = capsys.readouterr()
    assert "unshare" in told.err
    assert not told.out


@pytest.mark.slow  # not p2p: multiprocessing leaves a server behind, and other tests count what is left
@pytest.mark.timeout(600)  # two minutes pass before anything is counted
def test_four_real_peers_say_about_as_much_as_four_simulated_ones():
    seconds = 60.0
    found = measure(4, seconds)
    setting = Setting(4, real=4, newcomers=0, warm_s=WARM_S, measured_s=seconds, latency_s=LOOPBACK_S)
    simulated = simulate(setting)
    calls = sum(tally.calls for tally in simulated.tallies)
    assert sum(found.counted.calls.values()) == pytest.approx(calls, rel=0.5)
    received = sum(tally.received for tally in simulated.tallies)
    assert sum(found.counted.received.values()) == pytest.approx(received, rel=0.5)
    assert found.pulled == pytest.approx(simulated.pulled, rel=0.5)
