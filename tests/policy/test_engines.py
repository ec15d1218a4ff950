"""Which engine writes completions, and what is refused."""

import sys

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from swarmd.errors import ConfigError
from swarmd.llama import LlamaEngine, NativeEngine
from swarmd.policy.engines import EngineWish, Subject, choose_engine
from swarmd.rollout import EagerEngine


def choose(policy, name, **more):
    wish = EngineWish(name, **more)
    return choose_engine(wish, Subject(policy.model, 0, torch.float32), eos_ids=frozenset({1}))


def test_the_engine_asked_for_is_taken_and_the_reason_says_so(make_policy):
    choice = choose(make_policy(), "eager")
    assert isinstance(choice.engine, EagerEngine)
    assert "asked for" in choice.reason


@pytest.mark.parametrize("name", ["auto", "own"])
def test_ours_is_taken_where_it_knows_the_model(make_policy, name):
    choice = choose(make_policy(), name)
    assert isinstance(choice.engine, LlamaEngine if name == "own" else LlamaEngine | NativeEngine)
    assert choice.reason.startswith("our ")


def test_a_model_that_ours_does_not_know_is_decoded_by_transformers_unless_ours_was_asked_for():
    config = GPT2Config(vocab_size=20, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    subject, ends = Subject(model, 0, torch.float32), frozenset({1})
    choice = choose_engine(EngineWish("auto"), subject, eos_ids=ends)
    assert isinstance(choice.engine, EagerEngine)
    assert "does not fit this model" in choice.reason
    with pytest.raises(ConfigError, match=r"engine own .*does not fit this model.*--engine auto"):
        choose_engine(EngineWish("own"), subject, eos_ids=ends)


def test_vllm_without_a_gpu_is_refused_before_it_is_imported(make_policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"engine vllm needs an NVIDIA GPU, but device is cpu"):
        choose(make_policy(), "vllm")
