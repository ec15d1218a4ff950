"""Which question a person is asked: the one that policies fail most, of those seen lately."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.people.failures import QUESTIONS_MAX, Failures, Tally
from tests.daemon.fakes import external_group
from tests.gossip.making import key, make_manifest, make_task

MANIFEST = make_manifest()


def group(*rewards: float, task: str = "sums", external: bool = True) -> ScoredGroup:
    return replace(
        external_group(1, publisher=key(2).peer_id),
        task_name=task,
        external=external,
        completions=tuple(ScoredCompletion("?", reward, True) for reward in rewards),
    )


def see(failures: Failures, number: int, found: ScoredGroup) -> bytes:
    digest = number.to_bytes(32, "big")
    failures.see(make_task(MANIFEST, number), digest, found)
    return digest


def test_the_question_with_the_least_success_comes_first() -> None:
    failures = Failures()
    see(failures, 1, group(1, 0))
    worst = see(failures, 2, group(0, 0))
    see(failures, 3, group(1, 1))
    found = failures.most_failed()
    assert found is not None
    assert (found.digest, found.others, found.own) == (worst, Tally(0, 2), Tally())


def test_of_equals_the_one_of_the_task_that_is_failed_most_comes_first() -> None:
    failures = Failures()
    hard = see(failures, 1, group(0, 0, task="hard"))
    see(failures, 2, group(0, 0, task="easy"))
    see(failures, 3, group(1, 1, task="easy"))
    found = failures.most_failed()
    assert found is not None
    assert found.digest == hard


def test_own_and_others_tries_at_one_question_are_counted_apart_and_judged_together() -> None:
    failures = Failures()
    see(failures, 1, group(0, 0))
    both = see(failures, 1, group(1, 0, external=False))
    found = failures.most_failed()
    assert found is not None
    assert (found.digest, found.own, found.others, found.all) == (
        both, Tally(1, 2), Tally(0, 2), Tally(1, 4)
    )  # fmt: skip


def test_what_is_not_wanted_or_always_right_is_not_offered() -> None:
    failures = Failures()
    failed = see(failures, 1, group(0, 1))
    see(failures, 2, group(1, 1))
    assert failures.most_failed(without={failed}) is None
    assert Failures().most_failed() is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=60))
def test_what_is_offered_was_seen_and_nothing_seen_has_less_success(seen: list[tuple[int, int]]) -> None:
    failures, right = Failures(), dict[int, list[int]]()
    for number, count in seen:
        see(failures, number, group(*[1] * count, *[0] * (3 - count)))
        right.setdefault(number, []).append(count)
    shares = {number: sum(counts) / (3 * len(counts)) for number, counts in right.items()}
    least = min(shares.values(), default=1.0)
    found = failures.most_failed()
    assert (found is None) == (least == 1.0)
    if found is not None:
        assert found.all.success == least


def test_a_flood_of_questions_forgets_the_oldest() -> None:
    failures = Failures()
    first = see(failures, 0, group(0, 0))
    for number in range(1, QUESTIONS_MAX + 1):
        see(failures, number, group(0, 1))
    found = failures.most_failed()
    assert found is not None
    assert found.digest != first


def test_a_group_that_no_judge_judged_counts_as_nothing() -> None:
    failures = Failures()
    see(failures, 1, replace(group(0, 0), confidence=0.0))
    assert failures.most_failed() is None
    see(failures, 1, group(1, 0))
    found = failures.most_failed()
    assert found is not None
    assert found.all == Tally(1, 2)
