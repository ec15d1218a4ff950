"""Rows leave a batch; those that stay keep their own keys, values, positions and mask."""

import torch

from swarmd.llama import cache as cache_module
from swarmd.llama.batch import Batch
from swarmd.llama.cache import KeyValueCache


def make_batch(lengths, copies=1):
    cache = KeyValueCache(
        layers=2,
        rows=len(lengths) * copies,
        kv_heads=3,
        columns=max(lengths) + 4,
        head_size=2,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    cache.filled = max(lengths)
    for prompt, length in enumerate(lengths):
        marked = torch.full((1, 3, length, 2), float(prompt + 1))
        for layer in range(2):
            cache.write_prompts(layer, prompt * copies, marked, -marked, copies)
    return Batch(cache, lengths, copies, torch.zeros(2, max(lengths) + 4, 1, 2))


def marks(batch):
    """Which prompt each row's last cached column came from, before a token marked 9 is added."""
    rows = batch.cache.rows
    nine = torch.full((rows, 3, 2), 9.0)
    key, value, keys, values = batch.cache.next_column()[1]
    key.copy_(nine)
    value.copy_(-nine)
    assert keys[:, :, -1].eq(9).all()
    assert torch.equal(keys, -values)
    return keys[:, 0, -2, 0].tolist()


def test_a_prompt_stands_in_the_rows_of_all_its_copies_right_aligned_behind_zeros(monkeypatch):
    taken = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, **how: taken(*shape, **how).fill_(float("nan")))
    batch = make_batch([1, 3], copies=2)
    keys = batch.cache.next_column()[0].keys
    assert keys[:, 1, :3, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 2], [2, 2, 2]]


def test_rows_from_the_end_take_the_places_of_those_that_leave():
    batch = make_batch([3, 3, 3, 3, 3])
    kept = batch.keep(torch.tensor([True, False, True, False, True]))
    assert sorted(kept.tolist()) == [0, 2, 4]
    assert marks(batch) == [row + 1 for row in kept.tolist()]


def test_rows_move_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(cache_module, "MOVED_BYTES", 1)
    batch = make_batch([3] * 7)
    kept = batch.keep(torch.tensor([False, False, True, False, True, True, True]))
    assert sorted(kept.tolist()) == [2, 4, 5, 6]
    assert marks(batch) == [row + 1 for row in kept.tolist()]


def test_positions_and_padding_go_with_their_rows():
    batch = make_batch([1, 2, 4])
    batch.advance()
    kept = batch.keep(torch.tensor([False, True, True])).tolist()
    assert batch.positions.tolist() == [[2, 3, 5][row] for row in kept]
    hidden = batch.mask[:, 0, 0].isinf().sum(dim=1).tolist()
    assert hidden == [[3, 2, 0][row] for row in kept]
    assert batch.mask.shape == (2, 1, 1, 6), "five filled columns and the one being written"


def test_prompts_of_one_length_have_no_mask():
    assert make_batch([3, 3]).mask is None


def test_all_rows_may_leave():
    batch = make_batch([2, 2])
    assert batch.keep(torch.tensor([False, False])).tolist() == []
    assert batch.cache.rows == 0
