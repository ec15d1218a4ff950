"""The pool: what goes in comes out, each group once, newest first, and never more than the bound."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.images import Image
from swarmd.storage import Database

NOW = 1_800_000_000.0


def group(
    name: str, *, round_: int = 1, rewards: tuple[float, ...] = (0.0, 1.0), publisher: str = "A"
) -> ScoredGroup:
    return ScoredGroup(
        publisher=publisher,
        task_id=bytes(16),
        task_name="chain_sum",
        question=f"What is {name}?",
        completions=tuple(
            ScoredCompletion(
                text=f"<answer>{n}</answer>",
                reward=reward,
                finished=True,
                behaviour_logprob_sum=-1.5,
                bare=n % 2 == 0,
            )
            for n, reward in enumerate(rewards)
        ),
        round=round_,
        step=3,
        model="embedded",
        tokenizer=bytes(8),
        digest=hashlib.sha256(name.encode()).digest(),
        external=True,
    )


def test_the_groups_to_read_can_be_chosen_by_their_publishers(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def oldest(publishers: Sequence[str], limit: int) -> list[int]:
        asked.append([*publishers])
        return [len(publishers) - 1]

    with Database(tmp_path / "swarmd.db") as database:
        for index, publisher in enumerate("ABC"):
            database.pool.add(group(publisher, round_=index, publisher=publisher), now=NOW)
        assert questions(database.pool.candidates(0, 2, choose=oldest)) == "A"
    assert asked == [["C", "B", "A"]]


def test_an_ignored_publishers_groups_leave_the_pool_unless_they_were_used(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        for name, publisher in (("a", "A"), ("b", "B"), ("c", "A")):
            database.pool.add(group(name, publisher=publisher), now=NOW)
        database.pool.mark_used([group("c").digest], 1, now=NOW)
        assert database.pool.remove("A") == 1
        assert questions(database.pool.candidates(0, 10)) == "b"
        database.pool.release_after(0)
        assert questions(database.pool.candidates(0, 10)) == "c b"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db", pool_groups_max=5) as opened:
        yield opened


def questions(groups: list[ScoredGroup]) -> str:
    """The names that `group` was given, in order."""
    return " ".join(g.question.removeprefix("What is ").removesuffix("?") for g in groups)


def test_a_group_comes_back_as_it_went_in(database: Database) -> None:
    assert database.pool.add(group("a"), now=NOW)
    assert database.pool.candidates(0, 10) == [group("a")]


floats = st.floats(allow_nan=False)
completions = st.builds(
    ScoredCompletion,
    text=st.text(),
    reward=st.floats(0, 1),
    finished=st.booleans(),
    token_ids=st.lists(st.integers(0, 2**31), max_size=4).map(tuple),
    logprobs=st.lists(floats, max_size=4).map(tuple),
    behaviour_logprob_sum=st.none() | floats,
)
groups = st.builds(
    ScoredGroup,
    publisher=st.text(max_size=60),
    task_id=st.binary(min_size=16, max_size=16),
    task_name=st.text(max_size=64),
    question=st.text(),
    completions=st.lists(completions, min_size=2, max_size=4).map(tuple),
    round=st.integers(0, 2**40),
    step=st.integers(0, 2**40),
    model=st.text(max_size=64),
    tokenizer=st.binary(min_size=8, max_size=8),
    digest=st.binary(min_size=32, max_size=32),
    external=st.just(True),
    images=st.lists(
        st.builds(Image, width=st.integers(1, 9), height=st.integers(1, 9), pixels=st.binary(max_size=12)),
        max_size=2,
    ).map(tuple),
)


@settings(max_examples=60)
@given(st.lists(groups, max_size=5, unique_by=lambda g: g.digest))
def test_any_groups_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, added: list[ScoredGroup]
) -> None:
    with Database(tmp_path_factory.mktemp("pool") / "swarmd.db", pool_groups_max=5) as database:
        for one in added:
            assert database.pool.add(one, now=NOW)
        found = database.pool.candidates(0, 10)
    assert sorted(found, key=lambda g: g.digest or b"") == sorted(added, key=lambda g: g.digest or b"")


def test_the_same_digest_is_kept_once_and_counted_once(database: Database) -> None:
    assert database.pool.add(group("a"), now=NOW)
    assert not database.pool.add(replace(group("a"), publisher="somebody else"), now=NOW)
    assert len(database.pool) == 1
    assert database.ledger.counts().pulled == 1
    assert list(database.ledger.by_publisher()) == ["A"]


def test_a_group_without_a_digest_has_no_place(database: Database) -> None:
    with pytest.raises(ValueError, match="no digest"):
        database.pool.add(replace(group("a"), digest=None), now=NOW)


def test_candidates_are_newest_first_and_bounded_by_round_and_limit(database: Database) -> None:
    for name, round_ in [("a", 2), ("b", 1), ("c", 3), ("d", 2)]:
        database.pool.add(group(name, round_=round_), now=NOW)
    assert questions(database.pool.candidates(0, 10)) == "c d a b"
    assert questions(database.pool.candidates(2, 10)) == "c d a"
    assert questions(database.pool.candidates(0, 2)) == "c d"
    assert database.pool.candidates(4, 10) == []


def test_groups_that_teach_nobody_can_be_left_out(database: Database) -> None:
    for name, rewards in (("a", (0.0, 0.0)), ("b", (0.0, 0.5)), ("c", (0.5, 0.5)), ("d", (1.0, 1.0))):
        database.pool.add(group(name, rewards=rewards), now=NOW)
    assert questions(database.pool.candidates(0, 10)) == "d c b a"
    assert questions(database.pool.candidates(0, 10, informative_only=True)) == "d b"


def test_a_used_group_is_no_longer_a_candidate_and_is_counted_once(database: Database) -> None:
    for name in "abc":
        database.pool.add(group(name), now=NOW)
    used = [group("a").digest or b"", group("b").digest or b"", bytes(32)]
    assert database.pool.mark_used(used, 7, now=NOW) == 2
    assert database.pool.mark_used(used, 8, now=NOW) == 0
    assert questions(database.pool.candidates(0, 10)) == "c"
    assert len(database.pool) == 3
    assert database.ledger.counts().external_used == 2


def test_a_drawn_group_that_was_not_trained_on_is_no_candidate_and_is_not_counted(
    database: Database,
) -> None:
    for name in "ab":
        database.pool.add(group(name), now=NOW)
    trained, untrained = group("a").digest or b"", group("b").digest or b""
    assert database.pool.mark_used([trained, untrained], 7, now=NOW, untrained={untrained}) == 2
    assert database.pool.candidates(0, 10) == []
    assert database.ledger.counts().external_used == 1


def test_the_oldest_round_makes_room(database: Database) -> None:
    for name, round_ in [("a", 3), ("b", 1), ("c", 2), ("d", 2), ("e", 2), ("f", 2)]:
        database.pool.add(group(name, round_=round_), now=NOW)
    assert questions(database.pool.candidates(0, 10)) == "a f e d c"
    assert database.pool.prune(2) == 3
    assert questions(database.pool.candidates(0, 10)) == "a f"
    assert database.ledger.counts().pulled == 6


def test_after_a_rewind_groups_used_later_are_candidates_again(database: Database) -> None:
    for name in "ab":
        database.pool.add(group(name), now=NOW)
    for step, name in [(10, "a"), (11, "b")]:
        database.pool.mark_used([group(name).digest or b""], step, now=NOW)
        database.steps.record(step, reward=0.5, metrics={}, now=NOW)
    database.rewind(10)
    assert questions(database.pool.candidates(0, 10)) == "b"
    assert database.steps.curve(10) == [(10, 0.5)]


def test_a_row_that_was_damaged_is_removed_and_reported(tmp_path: Path) -> None:
    problems: list[str] = []
    with Database(tmp_path / "swarmd.db", on_problem=problems.append) as database:
        for name in "abc":
            database.pool.add(group(name), now=NOW)
        for name, body in [("a", b"\xff not CBOR"), ("b", b"\xa0")]:
            database._connection.execute(
                "UPDATE pool SET body = ? WHERE digest = ?", (body, group(name).digest)
            )
        assert questions(database.pool.candidates(0, 10)) == "c"
        assert len(database.pool) == 1
        assert len(problems) == 2
