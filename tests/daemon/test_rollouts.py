"""The groups that a person reads: own ones, others' with both rewards, and what was refused."""

from __future__ import annotations

import asyncio
import threading

import pytest

from protocol import sign_record
from swarmd.daemon.rollouts import READ_AT_ONCE, Rollouts
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.storage import BlobStore, Database, Home
from tests.daemon.fakes import KnownTasks
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question

MANIFEST = make_manifest()
OWN, OTHER = key(1), key(2)


class Shelf:
    """Rollouts over real storage."""

    def __init__(self, home: Home, database: Database) -> None:
        self.database = database
        self.blobs = BlobStore(home.records_path, 2**20)
        self.tasks = KnownTasks()
        self.rollouts = Rollouts(
            manifest=MANIFEST,
            peer_id=OWN.peer_id,
            database_path=home.database_path,
            blobs=self.blobs,
            tasks=self.tasks,  # type: ignore[arg-type]
        )

    def publish(self, number: int) -> bytes:
        digest = self.blobs.put(sign_record(OWN, make_record(MANIFEST, number, START)))
        self.database.ledger.published(digest, 1, number, now=START)
        return digest

    def pull(self, number: int, rewards: tuple[float, ...], *, keep_record: bool = True) -> bytes:
        record = make_record(MANIFEST, number, START)
        digest = self.blobs.put(sign_record(OTHER, record))
        group = ScoredGroup(
            publisher=OTHER.peer_id,
            task_id=record.task.task_id,
            task_name="sums",
            question=question(record.task),
            completions=tuple(
                ScoredCompletion(text=c.text, reward=reward, finished=c.finished)
                for c, reward in zip(record.completions, rewards, strict=True)
            ),
            round=record.round,
            step=record.step,
            model=record.model,
            tokenizer=record.tokenizer,
            digest=digest,
            external=True,
        )
        self.database.pool.add(group, now=START)
        if not keep_record:
            self.blobs.prune(0)
        return digest


@pytest.fixture
def shelf(home: Home, database: Database) -> Shelf:
    return Shelf(home, database)


async def test_own_groups_come_newest_first_with_their_question_made_again(shelf: Shelf) -> None:
    shelf.publish(1)
    newest = shelf.publish(2)
    found = await shelf.rollouts.newest("own", 5)
    assert [record.step for record in found] == [2, 1]
    assert found[0].digest == newest.hex()
    assert found[0].question == question(make_task(MANIFEST, 2))
    assert [c.reward for c in found[0].completions] == [1.0, 0.0]
    assert {c.claimed for c in found[0].completions} == {None}
    assert len(await shelf.rollouts.newest("own", 1)) == 1


async def test_a_question_is_made_once(shelf: Shelf) -> None:
    shelf.publish(1)
    await shelf.rollouts.newest("own", 5)
    shelf.tasks.failures[make_task(MANIFEST, 1).seed] = "source"
    (found,) = await shelf.rollouts.newest("own", 5)
    assert found.question == question(make_task(MANIFEST, 1))


async def test_a_question_that_cannot_be_made_is_unknown_and_the_group_is_shown(shelf: Shelf) -> None:
    shelf.publish(1)
    shelf.tasks.failures[make_task(MANIFEST, 1).seed] = "source"
    (found,) = await shelf.rollouts.newest("own", 5)
    assert (found.question, len(found.completions)) == (None, 2)


async def test_others_groups_show_the_reward_here_beside_the_claimed_one(shelf: Shelf) -> None:
    shelf.pull(3, (0.0, 1.0))
    (found,) = await shelf.rollouts.newest("others", 5)
    assert [(c.reward, c.claimed) for c in found.completions] == [(0.0, 1.0), (1.0, 0.0)]
    assert found.publisher == OTHER.peer_id
    assert found.fate == "Kept: it waits to be drawn."


async def test_a_group_says_whether_it_was_trained_on_or_teaches_nothing(shelf: Shelf) -> None:
    used = shelf.pull(3, (0.0, 1.0))
    shelf.pull(4, (1.0, 1.0))
    shelf.database.pool.mark_used([used], 17, now=START)
    equal, trained = await shelf.rollouts.newest("others", 5)
    assert trained.fate == "Kept, and drawn for step 17."
    assert "all its rewards are equal here" in equal.fate


async def test_without_its_record_a_group_claims_nothing(shelf: Shelf) -> None:
    shelf.pull(3, (0.0, 1.0), keep_record=False)
    (found,) = await shelf.rollouts.newest("others", 5)
    assert {c.claimed for c in found.completions} == {None}
    assert found.at == MANIFEST.round_start(found.round)


async def test_refusals_name_publisher_and_reason(shelf: Shelf) -> None:
    shelf.database.ledger.rejected("question", now=START, publisher=OTHER.peer_id)
    shelf.publish(1)
    (found,) = await shelf.rollouts.newest("refused", 5)
    assert (found.publisher, found.at) == (OTHER.peer_id, START)
    assert found.fate == "Its question is not the one that its task generates."


async def test_the_event_loop_goes_on_while_the_disk_is_read_for_a_few_at_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.publish(1)
    disk, entered = threading.Event(), threading.Semaphore(0)
    inside: list[int] = []
    peek = shelf.blobs.peek

    def slow(digest: bytes) -> bytes | None:
        inside.append(threading.get_ident())
        entered.release()
        assert disk.wait(timeout=60)
        return peek(digest)

    monkeypatch.setattr(shelf.blobs, "peek", slow)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(shelf.rollouts.newest("own", 5)) for _ in range(READ_AT_ONCE + 1)]
        for _ in range(READ_AT_ONCE):
            await asyncio.to_thread(entered.acquire)
        assert len(inside) == READ_AT_ONCE
        assert threading.get_ident() not in inside
        disk.set()
    assert all(len(each.result()) == 1 for each in asked)


async def test_a_damaged_record_is_left_out_and_left_alone(shelf: Shelf, home: Home) -> None:
    digest = shelf.publish(1)
    path = home.records_path / digest.hex()
    path.write_bytes(b"damaged")
    assert await shelf.rollouts.newest("own", 5) == []
    assert path.read_bytes() == b"damaged"
