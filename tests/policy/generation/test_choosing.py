"""Which generator decodes, and what is refused."""

import sys

import pytest
import torch

from swarmd.errors import ConfigError
from swarmd.policy.generation import EagerGenerator
from swarmd.policy.generation.choosing import GeneratorWish, choose_generator
from swarmd.policy.generation.continuous import ContinuousGenerator


def choose(policy, name, **more):
    wish = GeneratorWish(name, **more)
    return choose_generator(wish, policy.model, pad_id=0, eos_ids=frozenset({1}), dtype=torch.float32)


@pytest.mark.parametrize(("name", "kind"), [("eager", EagerGenerator), ("continuous", ContinuousGenerator)])
def test_the_one_asked_for_is_taken_and_said_so(make_policy, name, kind):
    choice = choose(make_policy(), name)
    assert isinstance(choice.generator, kind)
    assert "asked for" in choice.reason


def test_nothing_asked_for_needs_no_reason_of_the_operators(make_policy):
    assert "was asked for" not in choose(make_policy(), "auto").reason.replace(
        "no other generator was asked for", ""
    )


def test_vllm_without_a_gpu_is_refused_before_it_is_imported(make_policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"generator vllm needs an NVIDIA GPU, and device is cpu"):
        choose(make_policy(), "vllm")


def test_a_model_that_the_library_cannot_decode_is_refused_at_load(make_policy):
    policy = make_policy()

    def fail(*_args, **_kwargs):
        raise NotImplementedError("no paged cache for these layers")

    policy.model.forward = fail
    with pytest.raises(ConfigError, match=r"generator continuous .*on cpu: .*no paged cache"):
        choose(policy, "continuous")
