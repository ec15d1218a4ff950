"""swarmd ban, unban, trust and untrust: by a running daemon, and in the home of one that is not running."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from swarmd.gossip import Acquaintance
from swarmd.observe import Starting
from swarmd.storage import Database, Home
from tests.cli.test_status import daemon_in
from tests.daemon.fakes import external_group
from tests.gossip.making import START, key

FIRST, SECOND = key(1).peer_id, key(2).peer_id


class Daemon:
    """Remembers what it was ordered, and refuses when told."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, tuple[str, ...]]] = []
        self.problem: str | None = None

    def judge(self, order: str, peers: Sequence[str]) -> str | None:
        self.orders.append((order, tuple(peers)))
        return self.problem


@pytest.mark.parametrize("order", ["ban", "unban", "trust", "untrust"])
def test_a_running_daemon_is_told_and_the_peers_are_named(swarmd, tmp_path, order: str) -> None:
    daemon = Daemon()
    with daemon_in(tmp_path, judge=daemon.judge):
        outcome = swarmd(order, FIRST, SECOND, FIRST, "--home", tmp_path)
    assert outcome.code == 0
    assert daemon.orders == [(order, (FIRST, SECOND))]
    assert [line.partition(":")[0] for line in outcome.out.splitlines()] == [FIRST, SECOND]
    assert "now" in outcome.out


def test_what_the_daemon_refuses_is_an_error_of_whoever_typed_it(swarmd, tmp_path) -> None:
    daemon = Daemon()
    daemon.problem = "that peer is this peer itself"
    with daemon_in(tmp_path, judge=daemon.judge):
        outcome = swarmd("ban", FIRST, "--home", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: that peer is this peer itself\n"


def test_a_daemon_that_is_starting_is_asked_again_later(swarmd, tmp_path) -> None:
    starting = Starting(phase="loading the model", uptime_s=3, peer_id=FIRST, pid=1)
    with daemon_in(tmp_path, starting, Daemon().judge):
        outcome = swarmd("ban", SECOND, "--home", tmp_path)
    assert outcome.code == 3
    assert "loading the model" in outcome.err
    assert "try again" in outcome.err


@pytest.mark.parametrize("wrong", ["*", "all", "12D3KooW", FIRST[:-1] + "0", FIRST + "x", "", "\x1b[2J"])
def test_only_whole_peer_ids_are_taken_and_nothing_is_done_for_a_wrong_one(swarmd, tmp_path, wrong) -> None:
    daemon = Daemon()
    with daemon_in(tmp_path, judge=daemon.judge):
        outcome = swarmd("ban", FIRST, wrong, "--home", tmp_path)
    assert outcome.code == 2
    assert "is not a peer id" in outcome.err
    assert "\x1b" not in outcome.err
    assert daemon.orders == []


def test_without_a_daemon_the_words_are_kept_for_the_next_start(swarmd, tmp_path) -> None:
    home = Home.open(tmp_path)
    with Database(home.database_path) as database:
        for index, peer in enumerate((FIRST, SECOND)):
            database.pool.add(external_group(index, publisher=peer), now=START)
            database.acquaintances.remember(Acquaintance(peer, 30, START, START + 9_000, "10.0.0.1"))
    assert "from the next start" in swarmd("ban", FIRST, "--home", tmp_path).out
    assert swarmd("trust", SECOND, "--home", tmp_path).code == 0
    with Database(home.database_path) as database:
        assert database.acquaintances.words() == {FIRST: "ban", SECOND: "trust"}
        assert [group.publisher for group in database.pool.candidates(0, 10)] == [SECOND]
        assert [found.peer_id for found in database.acquaintances.all()] == [SECOND]
    assert swarmd("unban", FIRST, "--home", tmp_path).code == 0
    outcome = swarmd("untrust", SECOND, FIRST, "--home", tmp_path)
    assert outcome.code == 2
    assert f"not trusted: {FIRST}; nothing was changed" in outcome.err
    with Database(home.database_path) as database:
        assert database.acquaintances.words() == {SECOND: "trust"}


def test_a_peer_cannot_ban_itself(swarmd, tmp_path) -> None:
    own = Home.open(tmp_path).key().peer_id
    outcome = swarmd("ban", FIRST, own, "--home", tmp_path)
    assert outcome.code == 2
    assert "is this peer itself" in outcome.err
    with Database(Home(tmp_path).database_path) as database:
        assert database.acquaintances.words() == {}


def test_a_home_that_is_not_there_is_not_made(swarmd, tmp_path) -> None:
    outcome = swarmd("ban", FIRST, "--home", tmp_path / "nowhere")
    assert outcome.code == 2
    assert "there is no swarmd home" in outcome.err
    assert not (tmp_path / "nowhere").exists()
