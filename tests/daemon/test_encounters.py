"""Whom a peer meets is written down: what they pulled, when they were there, and that they said goodbye."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import digest_of, sign_record, verify_status
from swarmd.daemon.encounters import GOODBYE_COUNTS_S, GOODBYES_MAX, Encounters
from swarmd.gossip import PeerView
from swarmd.network.interface import Standing
from swarmd.storage import Database
from swarmd.storage.answers import Answer
from tests.daemon.fakes import ScriptedGossip
from tests.gossip.making import START, key, make_manifest, make_record, make_status

MANIFEST = make_manifest()
OWN, OTHER, THIRD = (key(number) for number in (1, 2, 3))


class Bench:
    """Encounters at a time that the test sets, in a database that outlives them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = START
        self.restart()

    def restart(self) -> None:
        self.gossip: Any = ScriptedGossip()
        self.encounters = Encounters(OWN.peer_id, self.gossip, self.database, lambda: self.now)

    @property
    def goodbyes(self) -> set[str]:
        return set(self.database.facts.goodbyes)


@pytest.fixture
def bench(database: Database) -> Bench:
    for each in (OTHER, THIRD):
        database.peers.seen(each.peer_id, (), now=START)
    return Bench(database)


def listed() -> PeerView:
    status = verify_status(make_status(MANIFEST, OTHER, START), swarm=MANIFEST.swarm_id, now=START).status
    return PeerView(OTHER.peer_id, status, 0.0, 0, 0, Standing.MET, 1.0, {})


def test_only_own_records_count_as_pulled_from_here(bench: Bench):
    for signer in (OWN, OTHER):
        bench.encounters.delivered(THIRD.peer_id, sign_record(signer, make_record(MANIFEST, 1, START)))
    bench.encounters.note(())
    [partner] = bench.database.partners.all().values()
    assert (partner.peer_id, partner.pulls) == (THIRD.peer_id, 1)


def test_a_persons_answer_is_pulled_once_by_each_peer(bench: Bench):
    envelope = sign_record(OWN, make_record(MANIFEST, 1, START))
    answers = bench.database.answers
    answers.add(Answer(b"q" * 32, START, "sums", "1 + 1", attempts=1, right=1, state="waiting"))
    answers.published(b"q" * 32, digest_of(envelope))
    for peer in (THIRD, THIRD, OTHER):
        bench.encounters.delivered(peer.peer_id, envelope)
        bench.encounters.note(())
    [answer] = answers.newest(10)
    assert (answer.state, answer.pulled_by) == ("published", 2)


def test_a_goodbye_is_kept_over_restarts_until_the_peer_is_seen_again(bench: Bench):
    bench.gossip.left = frozenset({OTHER.peer_id, THIRD.peer_id})
    bench.encounters.note(())
    for _ in range(2):
        bench.restart()
        bench.now += 3_600
        bench.encounters.note(())
        assert bench.goodbyes == {OTHER.peer_id, THIRD.peer_id}
    bench.gossip.peers = (listed(),)
    bench.now += 3_600
    bench.encounters.note({THIRD.peer_id})
    assert bench.goodbyes == set()


def test_a_goodbye_counts_for_a_week(bench: Bench):
    bench.gossip.left = frozenset({OTHER.peer_id})
    bench.encounters.note_goodbyes()
    bench.restart()
    bench.now += GOODBYE_COUNTS_S
    bench.encounters.note_goodbyes()
    assert bench.goodbyes == set()


def test_names_that_come_and_go_do_not_pile_up_and_the_newest_goodbyes_are_kept(bench: Bench):
    bench.database.facts.set_goodbyes({f"name-{n}": int(START) + n for n in range(GOODBYES_MAX + 10)})
    bench.gossip.left = frozenset({OTHER.peer_id})
    bench.now = START + GOODBYES_MAX + 10
    bench.encounters.note_goodbyes()
    assert len(bench.goodbyes) == GOODBYES_MAX
    assert OTHER.peer_id in bench.goodbyes
    assert "name-10" not in bench.goodbyes


def test_the_goodbye_of_a_peer_that_was_never_met_is_not_written_down(bench: Bench):
    bench.gossip.left = frozenset({key(9).peer_id})
    bench.encounters.note_goodbyes()
    assert bench.goodbyes == set()
