"""Decoding when memory runs out: batches get smaller and are remembered, samples stay, and it gives up."""

import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.errors import ModelError
from swarmd.hardware.budgets import UNLIMITED, BudgetKeeper, Budgets
from swarmd.hardware.guard import MemoryGuard
from swarmd.rollout import GenerationStoppedError
from swarmd.rollout.batches import Decoding, _cut, decode_all
from swarmd.rollout.interface import Decoded

QUESTIONS = ["1+1?", "What is seventeen times three?", "x", "Name a colour of the rainbow"]
WANTED = Decoding(24, 256, None, 1.0, None, None)


class Failing:
    """An engine whose allocator fails when a batch has more than `rows_max` rows."""

    def __init__(self, engine, rows_max):
        self.engine = engine
        self.rows_max = rows_max
        self.rows = []

    def decode(self, prompts, copies, max_new_tokens, *, progress, **others):
        rows = len(prompts) * copies
        self.rows.append(rows)
        if progress is not None and rows > self.rows_max:
            progress(rows)  # the memory lasts for one step
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.engine.decode(prompts, copies, max_new_tokens, progress=progress, **others)


def sample(policy, **others):
    prompts = [policy.render(question) for question in QUESTIONS]
    return policy.generate(prompts, 4, rng=torch.Generator().manual_seed(3), **others)


def with_memory_for(policy, rows_max, **keeper):
    policy.budgets = BudgetKeeper(Budgets(), **keeper)
    policy._engine = Failing(policy._engine, rows_max)
    return policy


def test_after_a_shortage_the_samples_are_those_of_a_machine_with_enough_memory(make_policy):
    expected = sample(make_policy())
    policy = with_memory_for(make_policy(), 5)
    assert [[s.token_ids for s in group] for group in sample(policy)] == [
        [s.token_ids for s in group] for group in expected
    ]
    assert policy._engine.rows[0] == 16


def test_the_smaller_budget_is_kept_and_remembered(make_policy):
    remembered = []
    policy = with_memory_for(make_policy(), 8, remember=remembered.append)
    sample(policy)
    assert remembered[-1].decode_tokens == policy.budgets.budgets.decode_tokens
    assert remembered[-1].train_tokens == UNLIMITED.train_tokens, "there memory never ran out"
    assert policy.budgets.budgets.decode_tokens < Budgets().decode_tokens
    failed = sum(rows > 8 for rows in policy._engine.rows)
    sample(policy)
    assert sum(rows > 8 for rows in policy._engine.rows) == failed, "no batch is too large again"


def test_tokens_that_are_decoded_again_are_taken_back(make_policy):
    told = []
    policy = with_memory_for(make_policy(), 8)
    samples = sample(policy, progress=told.append)
    assert sum(told) == sum(len(s.token_ids) for group in samples for s in group)
    assert min(told) == -16


def test_three_shortages_in_a_row_are_an_error_that_names_smaller_settings(make_policy):
    policy = with_memory_for(make_policy(), 0, remedy="--lora r=16, ")
    with pytest.raises(ModelError, match=r"3 times in a row.*--group-size.*--lora r=16.*--memory-limit"):
        sample(policy)
    assert len(policy._engine.rows) == 3


def test_a_shortage_after_work_that_went_through_begins_a_new_row(make_policy):
    policy = with_memory_for(make_policy(), 1)
    for rows_max in (15, 7, 3):
        policy._engine.rows_max = rows_max
        sample(policy)


def test_passing_the_limit_between_two_steps_is_a_shortage(make_policy):
    expected = sample(make_policy())
    policy = make_policy()
    held = iter([0, 0, 2**40])
    policy._guard = MemoryGuard(2**30, lambda: next(held, 0))
    assert [[s.text for s in group] for group in sample(policy)] == [[s.text for s in g] for g in expected]
    assert policy.budgets.budgets.decode_tokens < Budgets().decode_tokens


def test_a_stop_is_not_a_shortage(make_policy):
    stop = threading.Event()
    stop.set()
    policy = with_memory_for(make_policy(), 100)
    with pytest.raises(GenerationStoppedError):
        sample(policy, should_stop=stop)
    assert policy.budgets.budgets == Budgets()


@given(
    lengths=st.lists(st.integers(1, 250), max_size=12),
    copies=st.integers(1, 9),
    budget=st.integers(1, 3000),
)
def test_batches_hold_every_row_once_in_order_and_within_the_budget(lengths, copies, budget):
    prompts = [[0] * length for length in lengths]
    batches = list(_cut(prompts, WANTED, 0, len(prompts), 0, copies, budget))
    rows = [
        (prompt, copy)
        for batch in batches
        for prompt in range(batch.first, batch.stop)
        for copy in range(batch.first_copy, batch.stop_copy)
    ]
    assert rows == [(prompt, copy) for prompt in range(len(prompts)) for copy in range(copies)]
    for batch in batches:
        members = range(batch.first, batch.stop)
        count = len(members) * (batch.stop_copy - batch.first_copy)
        room = {WANTED.room(prompts[prompt]) for prompt in members}
        assert len(room) == 1
        assert batch.tokens == count * (max(lengths[prompt] for prompt in members) + room.pop())
        assert batch.tokens <= budget or count == 1


def test_a_prompt_with_little_room_shortens_no_other():
    short = replace(WANTED, context=30)
    batches = list(_cut([[0] * 2, [0] * 28, [0] * 3], short, 0, 3, 0, 2, 10_000))
    assert [(batch.first, batch.stop) for batch in batches] == [(0, 1), (1, 2), (2, 3)]


def test_prompts_of_similar_length_are_decoded_together_and_come_back_in_their_own_order(make_policy):
    lengths, seen = [30, 5, 29, 6], []

    class Echo:
        def decode(self, prompts, copies, max_new_tokens, *, uniforms, **others):
            seen.append([len(prompt) for prompt in prompts])
            return [
                Decoded((prompt[0],), (float(uniforms[row * copies + copy, 0]),), True)
                for row, prompt in enumerate(prompts)
                for copy in range(copies)
            ]

    uniforms = torch.arange(8.0).view(8, 1)
    decoded = decode_all(
        Echo(),
        [[index] * length for index, length in enumerate(lengths)],
        2,
        replace(WANTED, uniforms=uniforms),
        budgets=BudgetKeeper(Budgets(decode_tokens=2 * 2 * (30 + 24))),
        guard=None,
    )
    assert seen == [[5, 6], [29, 30]]
    assert [row.token_ids[0] for row in decoded] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [row.logprobs[0] for row in decoded] == list(range(8)), "each row drew from its own uniforms"


def test_no_prompts_are_no_work(make_policy):
    assert make_policy().generate([], 4, rng=torch.Generator()) == []
