"""Log-probabilities in slices of the vocabulary: what one large softmax would give, whatever the slices."""

import pytest
import torch

from swarmd.logprobs import FactoredGradients, vocabulary
from swarmd.logprobs.vocabulary import chosen_logprobs


def parts(vocab_size=100, hidden=8, count=12):
    rng = torch.Generator().manual_seed(2)
    states = torch.randn(count, hidden, generator=rng, requires_grad=True)
    weight = torch.randn(vocab_size, hidden, generator=rng, requires_grad=True)
    bias = torch.randn(vocab_size, generator=rng, requires_grad=True)
    return states, weight, bias, torch.randint(0, vocab_size, (count,), generator=rng)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("kept", [0, 2**20])
@pytest.mark.parametrize("slice_tokens", [1, 7, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_slices_give_the_same_as_the_whole(monkeypatch, with_bias, kept, slice_tokens, temperature):
    monkeypatch.setattr(vocabulary, "SLICE_BYTES", 0)
    monkeypatch.setattr(vocabulary, "SLICE_TOKENS_MIN", slice_tokens)
    monkeypatch.setattr(vocabulary, "KEPT_BYTES", kept)
    states, weight, bias, targets = parts()
    leaves = [states, weight, *([bias] if with_bias else [])]
    scale = torch.linspace(-1, 2, len(targets))

    logits = (states @ weight.T + (bias if with_bias else 0)) / temperature
    expected = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
    wanted = torch.autograd.grad((expected * scale).sum(), leaves)

    found = chosen_logprobs(
        states, weight, bias if with_bias else None, targets, temperature, torch.float32, FactoredGradients()
    )
    assert torch.allclose(found, expected, atol=1e-5)
    (found * scale).sum().backward()
    for leaf, gradient in zip(leaves, wanted, strict=True):
        assert torch.allclose(leaf.grad, gradient, atol=1e-5)


def test_huge_and_impossible_logits_stay_finite(monkeypatch):
    monkeypatch.setattr(vocabulary, "SLICE_BYTES", 0)
    monkeypatch.setattr(vocabulary, "SLICE_TOKENS_MIN", 2)
    states = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[-1e4], [2e4], [0.0], [2e4], [-3e4]])
    found = chosen_logprobs(states, weight, None, torch.tensor([3]), 1.0, torch.float32, FactoredGradients())
    assert found.item() == pytest.approx(-0.6931, abs=1e-3)
    found.sum().backward()
    assert torch.isfinite(states.grad).all()


def test_a_frozen_weight_gets_no_gradient():
    states, weight, _, targets = parts()
    weight.requires_grad_(False)
    chosen_logprobs(states, weight, None, targets, 1.0, torch.float32, FactoredGradients()).sum().backward()
    assert weight.grad is None
    assert states.grad is not None


def test_the_logits_of_a_large_vocabulary_never_exist_together(monkeypatch):
    monkeypatch.setattr(vocabulary, "KEPT_BYTES", 0)
    seen = []
    compute = vocabulary._logits

    def watched(*args):
        logits = compute(*args)
        seen.append(logits.numel() * 4)
        return logits

    monkeypatch.setattr(vocabulary, "_logits", watched)
    monkeypatch.setattr(vocabulary, "SLICE_BYTES", 2**20)
    states = torch.randn(64, 4, requires_grad=True)
    weight = torch.randn(20_000, 4, requires_grad=True)
    targets = torch.arange(64)
    chosen_logprobs(states, weight, None, targets, 1.0, torch.float32, FactoredGradients()).sum().backward()
    assert max(seen) <= 2**20
    assert sum(seen) == 2 * 64 * 20_000 * 4, "once forward, once again backward"
