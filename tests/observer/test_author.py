"""An observer believes the author whose charter the peer gives that its operator named, from then on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from protocol import VerifiedCharter
from swarmd.finding.news import News
from swarmd.network import MemoryHub, run_simulated, simulated_wall_clock
from swarmd.observer.author import learn_author
from swarmd.storage import Home
from tests.finding.making import STRANGER
from tests.finding.test_news import charter
from tests.gossip.making import key, make_manifest

MANIFEST = make_manifest()
FIRST = charter(1, name=MANIFEST.name)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "observer")


def learn(home: Home, told: VerifiedCharter | None) -> VerifiedCharter | None:
    """Ask a peer that tells this charter; what the home keeps then."""

    async def main() -> None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        peer, observer = hub.network(key(1)), hub.network(key(2))
        if told is not None:
            peer.tell_charter(told.envelope)
        await observer.connect(peer.addresses)
        await learn_author(home, MANIFEST, observer, key(1).peer_id)

    run_simulated(main())
    return home.charter()


def test_the_charter_of_the_peer_that_was_named_is_kept(home):
    assert learn(home, FIRST) == FIRST


def test_nobody_else_becomes_the_author_later(home):
    learn(home, FIRST)
    assert learn(home, charter(2, by=STRANGER, name=MANIFEST.name)) == FIRST


def test_the_charter_of_another_swarm_says_nothing_about_this_one(home):
    assert learn(home, charter(1, name="another")) is None


def test_a_peer_that_knows_no_author_teaches_none(home):
    assert learn(home, None) is None


def test_a_new_version_is_told_also_if_it_was_there_before_the_observer():
    mine, newer = charter(1), charter(2, rules=1, urls=())
    assert News(mine).words_for_observer(mine.charter.swarm) is None
    for news in (News(mine).after(newer.envelope), News(newer)):
        words = news.words_for_observer(mine.charter.swarm)
        assert words is not None
        assert "garden, version 2" in words
        assert "name one of its peers with --peer" in words
