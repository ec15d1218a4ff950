"""Packed rows are used only for models for which a trial showed that they are right."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
)

from swarmd.logprobs import PackedLogprobs, PaddedLogprobs
from swarmd.policy.engines import Subject, choose_logprobs
from tests.logprobs.making import SHAPES, SMALL, make_model, make_rows


def choose(model):
    return choose_logprobs(Subject(model, 0, torch.float32))


@pytest.mark.parametrize("shape", SHAPES)
def test_ordinary_models_are_packed(shape):
    choice = choose(make_model(shape))
    assert isinstance(choice.engine, PackedLogprobs)
    assert "once for all" in choice.reason
    assert choice.reason.endswith("by our own layers")


def test_adapters_are_left_to_transformers_layers_and_the_reason_says_why():
    model = make_model("qwen2: biases, shared heads, tied")
    choice = choose(get_peft_model(model, LoraConfig(r=3, target_modules="all-linear")).eval())
    assert isinstance(choice.engine, PackedLogprobs)
    assert "by transformers' layers; not by our own layers: it has adapters" in choice.reason


def test_layers_on_a_frozen_embedding_are_left_to_autograd():
    model = make_model("llama: untied")
    model.get_input_embeddings().requires_grad_(False)
    assert "only part of it is trained" in choose(model).reason


def test_each_layer_of_our_own_is_announced():
    seen = []
    choice = choose_logprobs(
        Subject(make_model("llama: untied"), 0, torch.float32), before_layer=lambda: seen.append(1)
    )
    seen.clear()
    choice.engine.logprobs(make_rows((5, (3, 6))), 1.0)
    assert len(seen) == SMALL["num_hidden_layers"]


def sliding():
    return MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=64))


def capped():
    config = Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=8, sliding_window=64)
    return Gemma2ForCausalLM(config)


def without_rotary_positions():
    return GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4, n_positions=128))


@pytest.mark.parametrize(("make", "why"), [(sliding, "sliding window"), (capped, "not a plain table")])
def test_what_packing_does_not_compute_is_padded_and_the_reason_says_why(make, why):
    choice = choose(make().eval())
    assert isinstance(choice.engine, PaddedLogprobs)
    assert why in choice.reason


def test_whatever_is_chosen_agrees_with_the_model_itself():
    model = without_rotary_positions().eval()
    rows = make_rows((5, (3, 6)), (2, (4,)))
    found, _ = choose(model).engine.logprobs(rows, 1.0)
    for row, line in zip(rows, found, strict=True):
        logits = model(torch.tensor([row.prompt_ids + row.completion_ids])).logits[0]
        expected = torch.log_softmax(logits, -1)[len(row.prompt_ids) - 1 : -1]
        expected = expected.gather(1, torch.tensor(row.completion_ids)[:, None])[:, 0]
        assert torch.allclose(line[: len(expected)], expected, atol=1e-4)


def test_a_lack_of_memory_says_nothing_of_the_model(monkeypatch):
    def fail(self, rows, temperature):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PackedLogprobs, "logprobs", fail)
    with pytest.raises(torch.OutOfMemoryError):
        choose(make_model("llama: untied"))


def test_a_trial_that_comes_out_different_decides_against_packing(monkeypatch):
    model = make_model("llama: untied")

    def wrong(self, rows, temperature):
        logprobs, mask = PaddedLogprobs(model, pad_id=0, dtype=torch.float32).logprobs(rows, temperature)
        return logprobs * 1.01, mask

    monkeypatch.setattr(PackedLogprobs, "logprobs", wrong)
    choice = choose(model)
    assert isinstance(choice.engine, PaddedLogprobs)
    assert "it differs by" in choice.reason


def test_a_large_vocabulary_takes_more_of_the_budget_where_its_logits_all_exist():
    rows = make_rows((5, (3, 6)), (2, (4,)))
    model = make_model("llama: untied")
    assert PaddedLogprobs(model, pad_id=0, dtype=torch.float32).tokens(rows) == 3 * 11
    model.resize_token_embeddings(152_000)
    assert PaddedLogprobs(model, pad_id=0, dtype=torch.float32).tokens(rows) == 3 * 11 * 12
