"""Models of several shapes, and one way to ask an engine for everything that it computes."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from swarmd.logprobs import LogprobsEngine, TokenRow
from tests.logprobs.making import SHAPES, make_model


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return make_model(request.param)


@pytest.fixture
def computed() -> Callable[..., tuple[Tensor, Tensor, dict[str, Tensor]]]:
    """computed(model, engine, rows, temperature): log-probabilities, mask, and a gradient of every weight."""

    def run(model, engine: LogprobsEngine, rows: Sequence[TokenRow], temperature: float = 1.0):
        model.zero_grad()
        logprobs, mask = engine.logprobs(rows, temperature)
        weights = torch.randn(logprobs.shape, generator=torch.Generator().manual_seed(3))
        (logprobs * weights).sum().backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        return logprobs.detach(), mask, gradients

    return run
