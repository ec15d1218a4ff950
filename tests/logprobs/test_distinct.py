"""Equal rows go through the model once, and count as often as they are there."""

import pytest
import torch

from swarmd.logprobs import DistinctLogprobs, PaddedLogprobs, TokenRow
from tests.logprobs.making import BODIES, UNEVEN, packed

ONE, TWO, *_ = UNEVEN
REPEATED = [ONE, TWO, ONE, ONE, *UNEVEN[3:], UNEVEN[-1]]


@pytest.fixture(params=[*BODIES, "padded"])
def engine(model, request):
    if request.param == "padded":
        return PaddedLogprobs(model, pad_id=0, dtype=torch.float32)
    return packed(model, request.param)


def test_repeated_rows_have_the_logprobs_and_gradients_that_computing_each_gives(model, computed, engine):
    logprobs, mask, gradients = computed(model, engine, REPEATED)
    once, mask_once, gradients_once = computed(model, DistinctLogprobs(engine), REPEATED)
    assert torch.equal(mask, mask_once)
    assert torch.allclose(logprobs, once, atol=1e-5)
    assert gradients.keys() == gradients_once.keys()
    for name, gradient in gradients.items():
        difference = (gradients_once[name] - gradient).abs().max()
        assert difference <= 2e-5 * gradient.abs().max() + 1e-7, name


def test_repeated_rows_have_the_same_states(engine):
    plain = engine.logprobs_and_states(REPEATED, 1.0)
    for found, expected in zip(
        DistinctLogprobs(engine).logprobs_and_states(REPEATED, 1.0), plain, strict=True
    ):
        assert torch.allclose(found.float(), expected.float(), atol=1e-5)


class Counting:
    """A logprobs engine that remembers which rows it was asked for."""

    factored = None

    def __init__(self):
        self.asked = []

    def tokens(self, rows):
        return sum(map(len, rows))

    def logprobs(self, rows, temperature):
        self.asked.append(list(rows))
        shape = (len(rows), max(len(row.completion_ids) for row in rows))
        return torch.zeros(shape), torch.ones(shape, dtype=torch.bool)

    def logprobs_and_states(self, rows, temperature):
        return *self.logprobs(rows, temperature), torch.zeros(len(rows), 1, 1)


def test_the_model_sees_each_row_once_in_their_order_and_the_budget_counts_it_once():
    inner = Counting()
    engine = DistinctLogprobs(inner)
    engine.logprobs(REPEATED, 1.0)
    assert inner.asked == [list(dict.fromkeys(REPEATED))]
    assert engine.tokens(REPEATED) == sum(map(len, set(REPEATED)))


def test_rows_that_differ_in_their_prompt_only_are_different():
    inner = Counting()
    DistinctLogprobs(inner).logprobs([TokenRow((1,), (5,)), TokenRow((2,), (5,))], 1.0)
    assert len(inner.asked[0]) == 2
