"""Attention over short completions, written out: what PyTorch's kernel gives, forwards and backwards."""

import pytest
import torch

from swarmd.logprobs import short_attention
from swarmd.logprobs.attention import AttentionPlan, attend
from swarmd.logprobs.packing import pack
from swarmd.logprobs.short_attention import PROMPT_TOKENS_MAX, TOKENS_MAX, Blocks
from tests.logprobs.making import UNEVEN, make_rows

SIZE = 8


def attended(rows, kv_heads, shared, scaling=None):
    """The result, the gradients of queries, keys and values, and whether it was written out."""
    plan = AttentionPlan.of(pack(rows))
    rng = torch.Generator().manual_seed(4)
    tokens, heads = len(plan.packing.ids), kv_heads * shared

    def states(heads):
        return torch.randn(tokens, heads * SIZE, generator=rng)

    inputs = [states(n).requires_grad_() for n in (heads, kv_heads, kv_heads)]
    out = attend(*inputs, SIZE, scaling, plan)
    gradients = torch.autograd.grad(out, inputs, states(heads))
    return [out.detach(), *gradients], plan.blocks(kv_heads, shared) is not None


@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize(("kv_heads", "shared"), [(2, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize(
    "rows",
    [UNEVEN, make_rows((6, (4, 4, 4, 4))), make_rows((9, (2, 30, 7)), (30, (TOKENS_MAX + 1, 2)))],
    ids=["uneven", "even", "the longest"],
)
def test_it_gives_what_the_kernel_gives(monkeypatch, rows, kv_heads, shared, scaling):
    found, written_out = attended(rows, kv_heads, shared, scaling)
    monkeypatch.setattr(short_attention, "TOKENS_MAX", 0)
    expected, by_kernel = attended(rows, kv_heads, shared, scaling)
    assert (written_out, by_kernel) == (True, False)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "rows",
    [
        make_rows((6, (TOKENS_MAX + 2,))),
        make_rows((PROMPT_TOKENS_MAX + 1, (3,))),
        make_rows((6, (1, 1))),
        make_rows((6, (3,) * 8), *[(6, (3,))] * 7),
    ],
    ids=["long completions", "a long prompt", "nothing but prompts", "most in one group"],
)
def test_what_it_does_not_pay_for_is_left_to_the_kernel(rows):
    assert Blocks.of(pack(rows), 2, 1) is None


@pytest.mark.parametrize("lengths", [(3,) * 8, (12,), (5, 4, 3, 3, 2)])
def test_what_fills_a_packing_up_does_not_decide_how_it_is_computed(lengths):
    rows = make_rows((10, lengths), (10, lengths))
    plain, filled = (Blocks.of(pack(rows, multiple), 2, 1) for multiple in (1, 32))
    assert plain is not None
    assert filled is not None
    assert plain.length_mask is filled.length_mask is None
    visible = pack(rows, 32).visible_keys()
    assert visible is not None
    assert len(visible) == 1, "one mask for all"
