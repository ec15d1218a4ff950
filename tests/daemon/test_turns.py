"""Who delivers goes first, who costs goes last, and a crowd of names pushes nobody out."""

from __future__ import annotations

from protocol import VerifiedRecord, is_held_out, sign_record, verify_record
from swarmd.daemon.turns import WAITING_MAX, WAITING_PER_PUBLISHER_MAX, Turns
from swarmd.step.accounts import Accounts
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question

MANIFEST = make_manifest()
ALLOWED = [n for n in range(200) if not is_held_out(question(make_task(MANIFEST, n)))]


def record(publisher: int, number: int = 0) -> VerifiedRecord:
    made = make_record(MANIFEST, ALLOWED[number], START, (1.0, 0.0))
    return verify_record(sign_record(key(publisher), made), manifest=MANIFEST, now=START)


def peer(number: int) -> str:
    return key(number).peer_id


def test_proven_publishers_go_first_and_together_and_others_one_by_one_with_the_least_charged_first() -> None:
    accounts = Accounts()
    accounts.charge_good(peer(1), 0.1, 0.0)
    accounts.charge_bad(peer(2), 3.0, 0.0)
    turns = Turns(accounts)
    waiting = [record(2), record(3), record(1, 0), record(1, 1)]
    for each in waiting:
        assert turns.add(each, 0.0) is None
    assert turns.proven_wait
    assert turns.take(8, 0.0) == [waiting[2], waiting[3]]
    assert not turns.proven_wait
    assert turns.take(8, 0.0) == [waiting[1]]
    assert turns.take(8, 0.0) == [waiting[0]]
    assert turns.take(8, 0.0) == []
    assert not turns


def test_a_full_line_gives_back_its_last_and_a_proven_newcomer_gets_a_place() -> None:
    accounts = Accounts()
    accounts.charge_good(peer(1), 0.1, 0.0)
    turns = Turns(accounts)
    strangers = [record(publisher) for publisher in range(10, 10 + WAITING_MAX)]
    for each in strangers:
        assert turns.add(each, 0.0) is None
    proven = record(1)
    assert turns.add(proven, 0.0) in strangers
    assert len(turns) == WAITING_MAX
    assert turns.take(1, 0.0) == [proven]


def test_one_publisher_has_half_of_the_places_at_most() -> None:
    turns = Turns(Accounts())
    records = [record(1, number) for number in range(WAITING_PER_PUBLISHER_MAX + 1)]
    given_back = [turns.add(each, 0.0) for each in records]
    assert given_back == [None] * WAITING_PER_PUBLISHER_MAX + [records[-1]]
