"""Micro-batches: nothing lost, within the budget, and the same every time. And the learning rate's course."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.learning.batching import TrainRow, micro_batches
from swarmd.learning.schedule import learning_rate_at
from swarmd.logprobs import TokenRow


def row(prompt, completion, **known):
    fields = {"advantage": 1.0, "rollout_logprobs": None, "behaviour_logprob_sum": None, "text_bytes": 1}
    return TrainRow(tokens=TokenRow((1,) * prompt, (2,) * completion), **{**fields, **known})


def packed(rows):
    """What packed rows cost: a prompt once, then its completions."""
    return sum(map(len, {r.prompt_ids for r in rows})) + sum(len(r.completion_ids) for r in rows)


def padded(rows):
    return len(rows) * max(map(len, rows))


@pytest.mark.parametrize("tokens", [packed, padded])
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=40), st.integers(64, 600))
def test_every_row_is_in_one_batch_within_the_budget(tokens, lengths, budget):
    rows = [row(*pair) for pair in lengths]
    batches = micro_batches(rows, budget, tokens)
    assert sorted(map(id, rows)) == sorted(id(r) for b in batches for r in b.rows)
    for batch in batches:
        assert tokens(batch.token_rows) <= budget or len(batch.rows) == 1


def test_rows_are_sorted_by_length_so_that_padding_is_small():
    rows = [row(prompt, 2) for prompt in (50, 3, 48, 1)]
    batches = micro_batches(rows, 110, padded)
    assert [[len(r.tokens) for r in b.rows] for b in batches] == [[3, 5], [50, 52]]


def test_a_row_above_the_budget_goes_alone():
    assert len(micro_batches([row(100, 100), row(1, 1)], 64, padded)) == 2


def test_a_group_stays_together_where_the_budget_allows():
    rows = [row(prompt, 10) for prompt in (5, 6, 7) for _ in range(4)]
    random.Random(1).shuffle(rows)
    batches = micro_batches(rows, 60, packed)
    assert [[len(r.tokens.prompt_ids) for r in b.rows] for b in batches] == [[5] * 4, [6] * 4, [7] * 4]


def test_a_group_above_the_budget_is_cut_and_its_rows_stay_next_to_each_other():
    rows = [row(20, 10) for _ in range(5)] + [row(3, 30)]
    batches = micro_batches(rows, 45, packed)
    assert [len(b.rows) for b in batches] == [2, 2, 1, 1]


def test_unknown_rollout_logprobs_are_replaced_and_known_ones_kept():
    rows = [row(1, 2, rollout_logprobs=(-0.5, -0.25)), row(1, 3)]
    (batch,) = micro_batches(rows, 64, padded)
    old = batch.rollout_logprobs(otherwise=torch.full((2, 3), -9.0))
    assert old.tolist() == [[-0.5, -0.25, -9.0], [-9.0, -9.0, -9.0]]


def test_the_rate_warms_up_linearly_and_stays():
    config = LearningConfig(learning_rate=0.6, warmup_steps=2)
    assert [learning_rate_at(step, config) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.6])


def test_the_cosine_ends_at_a_tenth_and_goes_on_from_there():
    config = LearningConfig(learning_rate=1.0, warmup_steps=0, schedule="cosine", total_steps=10)
    rates = [learning_rate_at(step, config) for step in (0, 5, 10, 500)]
    assert rates == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_shuffling_equal_work_gives_the_same_batches_of_lengths():
    rows = [row(5, n) for n in range(1, 20)]
    shuffled = rows.copy()
    random.Random(0).shuffle(shuffled)
    assert micro_batches(rows, 100, padded) == micro_batches(shuffled, 100, padded)
