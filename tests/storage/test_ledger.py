"""The ledger, the step history and the memory of peers: right totals, bounded rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import Reason
from swarmd.storage import Counts, Database, PublisherCounts, Rewards, SeenPeer
from swarmd.storage import ledger as ledger_module
from swarmd.storage import peers as peers_module
from swarmd.storage import steps as steps_module

NOW = 1_800_000_000.0
A, B, C = (hashlib.sha256(name).digest() for name in (b"a", b"b", b"c"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def test_a_new_home_has_counted_nothing(database: Database) -> None:
    assert database.ledger.counts() == Counts(0, 0, 0, 0, {})
    assert database.ledger.by_publisher() == {}
    assert database.ledger.entries(10) == []


def test_counts_are_totals_that_survive_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        with Database(tmp_path / "swarmd.db") as database:
            database.ledger.own(4)
            database.ledger.published(A, 1, 2, now=NOW)
            database.ledger.pulled(B, "P", 1, reward_mean=0.5, now=NOW)
            database.ledger.used(B, 2, now=NOW)
            database.ledger.rejected(Reason.QUESTION, "another one", now=NOW, digest=C, publisher="P")
            database.ledger.rejected(Reason.SIZE, now=NOW)
    with Database(tmp_path / "swarmd.db") as database:
        assert database.ledger.counts() == Counts(8, 2, 2, 2, {"question": 2, "size": 2})


def test_entries_say_what_happened_and_why_newest_first(database: Database) -> None:
    database.ledger.published(A, 5, 2, now=NOW)
    database.ledger.rejected(Reason.QUESTION, "another one", now=NOW + 1, digest=C, publisher="P")
    rejected, published = database.ledger.entries(10)
    assert (published.event, published.digest, published.round, published.step) == ("published", A, 5, 2)
    assert (rejected.event, rejected.at, rejected.peer_id) == ("rejected", NOW + 1, "P")
    assert (rejected.reason, rejected.detail) == ("question", "another one")
    assert database.ledger.entries(1) == [rejected]


def test_a_strangers_detail_is_cut(database: Database) -> None:
    database.ledger.rejected(Reason.SCHEMA, "x" * 10_000, now=NOW)
    [entry] = database.ledger.entries(1)
    assert entry.detail == "x" * ledger_module.DETAIL_CHARACTERS_MAX


def test_each_publisher_has_its_groups_and_their_mean_reward(database: Database) -> None:
    for digest, publisher, reward in [(A, "P", 0.25), (B, "P", 0.75), (C, "Q", 1.0)]:
        database.ledger.pulled(digest, publisher, 1, reward_mean=reward, now=NOW)
    assert database.ledger.by_publisher() == {"P": PublisherCounts(2, 0.5), "Q": PublisherCounts(1, 1.0)}


def test_publishers_are_bounded_and_those_silent_longest_go(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "PUBLISHERS_MAX", 2)
    for n, publisher in enumerate("PQPR"):
        database.ledger.pulled(A, publisher, 1, reward_mean=0.5, now=NOW + n)
    assert list(database.ledger.by_publisher()) == ["R", "P"]
    assert database.ledger.counts().pulled == 4


def test_entries_are_bounded_and_totals_are_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "ENTRIES_MAX", 10)
    monkeypatch.setattr(ledger_module, "ENTRIES_SLACK", 5)
    for _ in range(48):
        database.ledger.rejected(Reason.SIZE, now=NOW)
    assert 10 <= len(database.ledger.entries(1_000)) < 10 + 5
    assert database.ledger.counts().rejected == {"size": 48}


def record(database: Database, *rewards: float | None, first: int = 1) -> None:
    for step, reward in enumerate(rewards, first):
        database.steps.record(step, reward=reward, metrics={}, now=NOW)


def test_there_is_no_reward_before_the_first_step(database: Database) -> None:
    assert database.steps.rewards() == Rewards(None, None, None)
    assert database.steps.curve(10) == []


def test_with_fewer_than_twenty_steps_the_mean_is_over_all(database: Database) -> None:
    record(database, 0.0, 0.5, 1.0)
    assert database.steps.rewards() == Rewards(last=1.0, mean_20=0.5, best_20=0.5)


def test_the_best_twenty_steps_may_be_long_ago(database: Database) -> None:
    record(database, *[0.0] * 10, *[1.0] * 20, *[0.25] * 20)
    assert database.steps.rewards() == Rewards(last=0.25, mean_20=0.25, best_20=1.0)


def test_steps_without_own_groups_have_no_reward(database: Database) -> None:
    record(database, 0.5, None, 1.0, None)
    assert database.steps.rewards() == Rewards(last=1.0, mean_20=0.75, best_20=0.75)
    assert database.steps.curve(10) == [(1, 0.5), (3, 1.0)]


@settings(max_examples=40)
@given(rewards=st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=60))
def test_rewards_are_what_their_names_say(
    tmp_path_factory: pytest.TempPathFactory, rewards: list[float]
) -> None:
    with Database(tmp_path_factory.mktemp("steps") / "swarmd.db") as database:
        record(database, *rewards)
        found = database.steps.rewards()
        curve = database.steps.curve(len(rewards))
    windows = [rewards[i : i + 20] for i in range(max(1, len(rewards) - 19))]
    assert found.last == rewards[-1]
    assert found.mean_20 == pytest.approx(sum(windows[-1]) / len(windows[-1]))
    assert found.best_20 == pytest.approx(max(sum(window) / len(window) for window in windows))
    assert curve == list(enumerate(rewards, 1))


def test_metrics_come_back_newest_first(database: Database) -> None:
    database.steps.record(1, reward=0.5, metrics={"loss": 0.1, "skipped": 2, "note": None}, now=NOW)
    database.steps.record(2, reward=0.5, metrics={"loss": -0.1}, now=NOW)
    assert database.steps.metrics(5) == [
        (2, {"loss": -0.1}),
        (1, {"loss": 0.1, "skipped": 2, "note": None}),
    ]


def test_a_repeated_step_replaces_the_first(database: Database) -> None:
    record(database, 0.1, 0.9)
    record(database, 0.2, first=2)
    assert database.steps.curve(10) == [(1, 0.1), (2, 0.2)]


def test_steps_are_bounded_oldest_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "STEPS_MAX", 3)
    record(database, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert database.steps.curve(10) == [(3, 0.3), (4, 0.4), (5, 0.5)]


def test_peers_are_remembered_with_their_newest_addresses(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        database.peers.seen("P", ["/ip4/10.0.0.1/tcp/1"], now=NOW)
        database.peers.seen("Q", ["/ip4/10.0.0.2/tcp/1", "/dns/q/tcp/1"], now=NOW + 1)
        database.peers.seen("P", ["/ip4/10.0.0.9/tcp/1"], now=NOW + 2)
        database.peers.seen("Q", [], now=NOW + 0.5)
    with Database(tmp_path / "swarmd.db") as database:
        assert database.peers.known() == [
            SeenPeer("P", ("/ip4/10.0.0.9/tcp/1",), NOW + 2),
            SeenPeer("Q", ("/ip4/10.0.0.2/tcp/1", "/dns/q/tcp/1"), NOW + 1),
        ]
        assert [peer.peer_id for peer in database.peers.known(1)] == ["P"]


def test_peers_are_bounded_and_those_seen_longest_ago_go(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "PEERS_MAX", 2)
    for n, peer in enumerate("PQR"):
        database.peers.seen(peer, ["/ip4/10.0.0.1/tcp/1"], now=NOW + n)
    assert [peer.peer_id for peer in database.peers.known()] == ["R", "Q"]


def test_a_peers_addresses_are_bounded(database: Database) -> None:
    many = ["/dns/" + "x" * 300 + "/tcp/1", *(f"/ip4/10.0.0.{n}/tcp/1" for n in range(20))]
    database.peers.seen("P", many, now=NOW)
    [peer] = database.peers.known()
    assert peer.addresses == tuple(many[1 : 1 + peers_module.ADDRESSES_MAX])
