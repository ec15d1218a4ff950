"""A home moves to a new version of its swarm: what it learned and published stays, what waited is dropped."""

from __future__ import annotations

import pytest

from protocol import Charter, Manifest, VerifiedCharter, sign_charter, verify_charter
from swarmd.errors import ConfigError
from swarmd.storage import Database, Home
from swarmd.storage.moving import move_home
from tests.daemon.fakes import external_group
from tests.finding.making import AUTHOR, NOW
from tests.gossip.making import make_manifest

OLD, NEW = make_manifest(tasks=2), make_manifest(tasks=3)


def charter(manifest: Manifest, version: int) -> VerifiedCharter:
    word = Charter(
        name="garden", version=version, swarm=manifest.swarm_id, created=NOW, bootstrap=(), urls=()
    )
    return verify_charter(sign_charter(AUTHOR, word))


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home.open(tmp_path / "home")
    home.write_manifest(OLD.to_bytes())
    home.write_charter(charter(OLD, 1))
    home.write_news(charter(NEW, 2))
    with Database(home.database_path) as database:
        database.facts.set_swarm(OLD.swarm_id)
        database.steps.record(1, reward=0.5, metrics={}, now=1.0)
        database.ledger.published(bytes(32), 1, 1, now=1.0)
        database.peers.seen(AUTHOR.peer_id, ("/ip4/192.0.2.1/tcp/1",), now=1.0)
    return home


def test_rules_author_and_database_agree_afterwards(home: Home):
    key = home.key().peer_id
    move_home(home, NEW, charter(NEW, 2))
    assert home.manifest() == NEW
    assert home.charter() == charter(NEW, 2)
    assert home.news() is None
    assert home.key().peer_id == key
    with Database(home.database_path) as database:
        assert database.facts.swarm_id == NEW.swarm_id


def test_steps_ledger_and_known_peers_stay(home: Home):
    move_home(home, NEW, charter(NEW, 2))
    with Database(home.database_path) as database:
        assert database.steps.last() == 1
        assert database.ledger.counts().published == 1
        assert [peer.peer_id for peer in database.peers.known()] == [AUTHOR.peer_id]


def test_no_group_of_the_old_rules_stays_whether_it_was_used_or_not(home: Home):
    with Database(home.database_path) as database:
        used, unused = (external_group(n, publisher=AUTHOR.peer_id) for n in (1, 2))
        for group in (used, unused):
            database.pool.add(group, now=1.0)
        assert used.digest is not None
        database.pool.mark_used([used.digest], 1, now=1.0)
    assert move_home(home, NEW, charter(NEW, 2)) == 1, "as many as waited"
    with Database(home.database_path) as database:
        assert database.pool.newest(10) == []
        assert database.pool.release_after(0) == 0, "a rewind brings none back"


def test_news_of_a_still_newer_version_stays(home: Home):
    home.write_news(charter(NEW, 3))
    move_home(home, NEW, charter(NEW, 2))
    assert home.news() == charter(NEW, 3)


def test_a_running_peer_is_not_moved(home: Home):
    with home.lock(), pytest.raises(ConfigError, match="is used by a running swarmd"):
        move_home(home, NEW, charter(NEW, 2))
    assert home.manifest() == OLD


def test_moving_again_completes_what_a_kill_left_undone(home: Home):
    with Database(home.database_path) as database:
        database.facts.set_swarm(NEW.swarm_id)  # and the kill came here
    move_home(home, NEW, charter(NEW, 2))
    assert home.manifest() == NEW
    assert home.charter() == charter(NEW, 2)


@pytest.mark.parametrize("junk", [b"", b"\0" * 10_000, b"text"])
def test_a_damaged_charter_is_named_with_the_remedy(home: Home, junk: bytes):
    home.charter_path.write_bytes(junk)
    with pytest.raises(ConfigError, match=r"charter\.signed is not what an author signed .*give --swarm"):
        home.charter()
