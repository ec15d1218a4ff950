"""What becomes of groups by others: true ones go into the pool, false ones are kept nowhere."""

from __future__ import annotations

import pytest

from protocol import Reason
from swarmd import gossip as g
from swarmd.errors import ConfigError, StorageError
from swarmd.storage import Home
from swarmd.tasks import Score
from tests.daemon.exchange_bench import ALLOWED, OTHER, Bench, received
from tests.daemon.fakes import (
    external_group,
)
from tests.gossip.making import (
    START,
    key,
)


async def test_a_true_group_goes_into_the_pool_and_can_be_served_to_others(bench: Bench):
    record = received(ALLOWED[0])
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupScored) == [g.GroupScored(record.digest, informative=True)]
    [group] = bench.database.pool.candidates(0, 10)
    assert (group.digest, group.publisher, group.rewards) == (record.digest, OTHER, (1.0, 0.0))
    assert bench.blobs.get(record.digest) == record.envelope
    [line] = bench.events.named("pulled")
    assert (line["digest"], line["publisher"], line["reward"]) == (record.digest.hex(), OTHER, 0.5)


async def test_what_was_on_its_way_from_a_peer_that_is_ignored_now_is_not_kept(bench: Bench):
    record = received(ALLOWED[0])
    bench.gossip.distrusted = {OTHER}
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupRejected) == [g.GroupRejected(record.digest, "ignored")]
    assert len(bench.database.pool) == 0
    assert bench.blobs.get(record.digest) is None


def test_who_delivered_is_remembered_and_whoever_is_ignored_is_forgotten_with_its_groups(bench: Bench):
    entry = g.Acquaintance(OTHER, 3, START - 60, START, "192.0.2.7")
    bench.want(g.RememberAcquaintance(entry))
    assert bench.database.acquaintances.all() == [entry]
    bench.database.pool.add(external_group(1, publisher=OTHER), now=START)
    bench.want(g.StandingChanged(OTHER, "ignored", "question"), g.ForgetPeer(OTHER))
    assert bench.database.acquaintances.all() == []
    assert len(bench.database.pool) == 0
    [line] = bench.events.named("standing")
    assert (line["peer_id"], line["change"], line["why"]) == (OTHER, "ignored", "question")


def test_the_operators_order_is_remembered_and_told_to_gossip(bench: Bench):
    third = key(3).peer_id
    bench.exchange.judge("ban", [OTHER, third])
    assert bench.gossip.of(g.OperatorSaid) == [g.OperatorSaid(OTHER, "ban"), g.OperatorSaid(third, "ban")]
    assert bench.database.acquaintances.words() == {OTHER: "ban", third: "ban"}
    with pytest.raises(ConfigError, match="not trusted"):
        bench.exchange.judge("untrust", [OTHER])
    with pytest.raises(ConfigError, match="this peer itself"):
        bench.exchange.judge("ban", [bench.network.peer_id])
    assert len(bench.gossip.of(g.OperatorSaid)) == 2


async def test_a_group_that_teaches_nothing_here_is_told_as_such(bench: Bench):
    bench.tasks.score_by = lambda position, text: Score(0.0)
    record = received(ALLOWED[0])
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupScored) == [g.GroupScored(record.digest, informative=False)]
    assert bench.database.pool.candidates(0, 10, informative_only=True) == []


async def test_a_false_group_is_rejected_and_kept_nowhere(bench: Bench):
    record = received(ALLOWED[0], question_digest=bytes(32))
    async with bench.running():
        bench.want(g.Verify(record))
        assert await bench.told(g.GroupRejected) == [g.GroupRejected(record.digest, Reason.QUESTION)]
    assert len(bench.database.pool) == 0
    assert bench.blobs.get(record.digest) is None


async def test_many_bodies_at_once_are_all_judged(bench: Bench):
    records = [received(n) for n in ALLOWED[:30]]
    async with bench.running():
        bench.want(*(g.Verify(record) for record in records))
        scored = await bench.told(g.GroupScored, 30)
    assert [event.digest for event in scored] == [record.digest for record in records]
    assert bench.database.ledger.counts().pulled == 30


async def test_a_disk_that_refuses_ends_the_exchange(bench: Bench, home: Home):
    home.records_path.rmdir()
    home.records_path.write_text("not a directory any more")
    with pytest.raises(ExceptionGroup) as caught:
        await bench.fails_on(g.Verify(received(ALLOWED[0])))
    assert caught.group_contains(StorageError, match="records")
