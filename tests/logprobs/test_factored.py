"""Gradients kept as factors have the gradient and norm that multiplying them out at once would give."""

import pytest
import torch

from swarmd.logprobs import factored as pending_module
from swarmd.logprobs.factored import FactoredGradients

FLOAT32 = torch.float32


@pytest.fixture(autouse=True)
def _small_weights_count(monkeypatch):
    monkeypatch.setattr(pending_module, "PRODUCT_BYTES_MIN", 0)
    monkeypatch.setattr(pending_module, "COLUMNS_AT_ONCE", 7)


def weight(rows=50, columns=40):
    return torch.nn.Parameter(torch.zeros(rows, columns))


def filled(parameter, *, products, look_ups, seed=0):
    """A step with this many products and look-ups pending, and the gradient that they make."""
    rng = torch.Generator().manual_seed(seed)
    pending = FactoredGradients()
    pending.begin(tokens=2)
    expected = torch.zeros_like(parameter)
    for _ in range(products):
        grad_output = torch.randn(3, len(parameter), generator=rng)
        inputs = torch.randn(3, parameter.shape[1], generator=rng)
        pending.add(parameter, grad_output, inputs)
        expected += grad_output.T @ inputs
    for _ in range(look_ups):
        places = torch.randint(0, 5, (6,), generator=rng)  # some twice
        rows = torch.randn(6, parameter.shape[1], generator=rng)
        pending.add_rows(parameter, places, rows)
        expected.index_add_(0, places, rows)
    return pending, expected


@pytest.mark.parametrize(("products", "look_ups"), [(1, 0), (3, 0), (0, 2), (2, 3)])
def test_norm_and_product_are_those_of_the_whole_gradient(products, look_ups):
    parameter = weight()
    with torch.no_grad():
        pending, expected = filled(parameter, products=products, look_ups=look_ups)
        assert pending.squared_norm(parameter).item() == pytest.approx(
            expected.square().sum().item(), rel=1e-4
        )
        found = torch.full_like(parameter, 7.0)
        pending.release(parameter, found)
        assert torch.allclose(found, expected, atol=1e-4)
    assert pending.weights() == [], "what was released is forgotten"


def test_nothing_is_taken_without_a_step_or_after_it():
    pending, parameter = FactoredGradients(), weight()
    assert not pending.takes(parameter, FLOAT32)
    pending.begin(tokens=1)
    assert pending.takes(parameter, FLOAT32)
    pending.clear()
    assert not pending.takes(parameter, FLOAT32)


def test_a_new_step_forgets_the_last_one():
    parameter = weight()
    pending, _ = filled(parameter, products=1, look_ups=1)
    pending.begin(tokens=1)
    assert pending.weights() == []


def test_only_where_the_factors_are_half_the_product_at_most():
    pending, parameter = FactoredGradients(), weight(100, 100)
    pending.begin(tokens=25)  # 25 * 200 numbers against 10,000
    assert pending.takes(parameter, FLOAT32)
    pending.begin(tokens=26)
    assert not pending.takes(parameter, FLOAT32)
    assert pending.takes(parameter, torch.bfloat16), "factors of half the size"


def test_a_frozen_weight_is_not_taken():
    pending, parameter = FactoredGradients(), weight().requires_grad_(False)
    pending.begin(tokens=1)
    assert not pending.takes(parameter, FLOAT32)


def test_a_product_of_half_precision_does_not_overflow():
    pending, parameter = FactoredGradients(), weight()
    pending.begin(tokens=2)
    pending.add(parameter, torch.full((2, 50), 300.0).half(), torch.full((2, 40), 300.0).half())
    with torch.no_grad():
        assert pending.squared_norm(parameter).isfinite(), "so an update would be made"
        found = torch.empty_like(parameter)
        pending.release(parameter, found)
    assert found.eq(2 * 300.0**2).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_norm_is_a_number_where_contributions_cancel(seed):
    pending, parameter = FactoredGradients(), weight()
    pending.begin(tokens=2)
    rng = torch.Generator().manual_seed(seed)
    grad_output, inputs = (torch.randn(1, n, generator=rng) for n in (50, 40))
    for share in (0.1, 0.2, -0.3):
        pending.add(parameter, share * grad_output, inputs)
    with torch.no_grad():
        assert pending.squared_norm(parameter).sqrt().isfinite()
