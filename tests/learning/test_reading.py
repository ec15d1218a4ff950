"""What a group makes a policy read, and how much of others' groups is trained on."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.learning import Experience
from swarmd.learning.reading import OWN_BYTES_UNKNOWN, TIMES_MAX, bytes_read, shortened


def group(question: str, *completions: tuple[str, ...], said: str = "no") -> ScoredGroup:
    return ScoredGroup(
        publisher="somebody",
        task_id=bytes(16),
        task_name="guessing",
        question=question,
        completions=tuple(
            ScoredCompletion.from_turns([Turn(text, True, said) for text in turns], 1.0, bare=True)
            for turns in completions
        ),
        round=1,
        step=1,
        model="m",
        tokenizer=bytes(8),
        digest=bytes(32),
        external=True,
    )


def test_each_turn_after_the_first_reads_all_that_was_said_before() -> None:
    assert bytes_read(group("1234", ("ab", "cd"), ("ab",))) == 4 + 2 + (4 + 2 + 2) + 2 + 2
    assert bytes_read(group("1234", ("ab", "cd"), ("ab",)), turns=1) == 4 + 2 + 2
    assert bytes_read(group("é", ("ü",))) == 4


def test_a_group_that_costs_too_much_is_trained_on_in_its_first_turns() -> None:
    costly = group("1234", ("ab",) * 16, ("ab",) * 15, ("ab",))
    [kept] = shortened([costly], bytes_read(costly, 5) / TIMES_MAX)
    assert [len(completion.turns) for completion in kept.completions] == [5, 5, 1]
    assert kept.rewards == costly.rewards
    assert all(completion.bare for completion in kept.completions)
    assert kept.completions[0].turns[:4] == costly.completions[0].turns[:4]
    assert replace(kept, completions=costly.completions) == costly


def test_a_group_like_own_ones_is_left_as_it_is() -> None:
    usual = group("1234", ("ab", "cd"), ("ab", "cd", "ef"))
    assert shortened([usual], bytes_read(usual) / 2)[0] is usual
    assert shortened([usual], None)[0] is usual


@given(
    st.lists(st.lists(st.text(max_size=9), min_size=1, max_size=16).map(tuple), min_size=1, max_size=9),
    st.floats(0, 1e4),
)
def test_one_turn_of_each_completion_is_left_and_no_more_than_is_allowed(
    completions: list[tuple[str, ...]], own_bytes: float
) -> None:
    [kept] = shortened([group("question", *completions)], own_bytes)
    longest = max(len(completion.turns) for completion in kept.completions)
    assert longest == 1 or bytes_read(kept) <= TIMES_MAX * own_bytes
    assert len(kept.completions) == len(completions)


def test_a_peer_without_own_groups_is_not_made_to_read_without_bound() -> None:
    costly = group("question", *[tuple("z" * 200 for _ in range(16))] * 28)
    [kept] = shortened([costly], None)
    assert bytes_read(kept) <= TIMES_MAX * OWN_BYTES_UNKNOWN < bytes_read(costly)


def test_what_own_groups_cost_is_remembered() -> None:
    experience = Experience()
    assert experience.own_bytes is None
    small, large = group("1234", ("ab",)), group("1234", ("abcd",))
    experience.see_own([small, large])
    assert experience.own_bytes == (bytes_read(small) + bytes_read(large)) / 2
    resumed = Experience()
    resumed.restore(json.loads(json.dumps(experience.to_state())))
    assert resumed.own_bytes == experience.own_bytes
