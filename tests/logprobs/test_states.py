"""The states that go with the logprobs: what the output layer made each of them from."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from swarmd.logprobs import PaddedLogprobs
from tests.logprobs.making import BODIES, UNEVEN, packed

TEMPERATURE = 0.8
FLOAT32 = torch.float32
MAKERS = {
    "padded": lambda model: PaddedLogprobs(model, pad_id=0, dtype=FLOAT32),
    "padded, with adapters": lambda model: PaddedLogprobs(
        get_peft_model(model, LoraConfig(r=3, target_modules="all-linear")).eval(), pad_id=0, dtype=FLOAT32
    ),
    **{body: lambda model, body=body: packed(model, body) for body in BODIES},
}


@pytest.mark.parametrize("maker", MAKERS)
def test_the_output_layer_makes_the_log_probabilities_from_the_states(model, maker):
    head = model.get_output_embeddings()
    engine = MAKERS[maker](model)
    logprobs, mask, states = engine.logprobs_and_states(UNEVEN, TEMPERATURE)
    assert torch.equal(logprobs, engine.logprobs(UNEVEN, TEMPERATURE)[0])
    assert logprobs.requires_grad
    assert not states.requires_grad
    again = torch.log_softmax(head(states) / TEMPERATURE, dim=-1)
    for row, tokens in enumerate(UNEVEN):
        for index, token in enumerate(tokens.completion_ids):
            assert again[row, index, token].item() == pytest.approx(logprobs[row, index].item(), abs=1e-4)
    assert not states[~mask].any()
