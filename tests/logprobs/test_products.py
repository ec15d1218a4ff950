"""Large float32 products on a CPU are the same by either library, and others stay with PyTorch's own."""

import pytest
import torch
from torch.nn import functional

from swarmd.logprobs import products

AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


@pytest.fixture(params=[False, True], ids=["MKL", "oneDNN"])
def by_onednn(request, monkeypatch):
    monkeypatch.setattr(products, "MULTIPLICATIONS_MIN", 0)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param)
    return request.param


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_those_of_pytorch(by_onednn, dtype):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(3, 7).to(dtype), torch.randn(5, 7).to(dtype), torch.randn(5).to(dtype)
    assert_close = torch.testing.assert_close
    assert_close(products.linear(x, weight, bias), functional.linear(x, weight, bias))
    assert_close(products.product(weight, x.T), weight @ x.T)
    assert_close(products.product(x.T, x), x.T @ x)
    for kind in (dtype, torch.float32):
        total = torch.ones(3, 5, dtype=kind)
        products.add_product(total, x, weight.T)
        assert_close(total, torch.ones(3, 5, dtype=kind) + x @ weight.T, atol=0.05, rtol=0.01)


@pytest.mark.parametrize(("name", "capability"), [("Fast AMD CPU", "AVX2"), ("Fast Intel CPU", "AVX512")])
def test_other_processors_multiply_with_mkl(monkeypatch, name, capability):
    monkeypatch.setattr(products, "cpu_name", lambda: name)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert not products.onednn_is_faster.__wrapped__()


@pytest.mark.skipif(not AVX512, reason="this processor has no AVX-512")
def test_an_operator_that_is_missing_or_wrong_is_not_used(monkeypatch):
    monkeypatch.setattr(products, "cpu_name", lambda: "Fast AMD CPU")
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *_: torch.zeros(24, 8))
    assert not products.onednn_is_faster.__wrapped__()
