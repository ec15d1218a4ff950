"""What only transformers' continuous batching can get wrong: its thread, its memory, its release."""

import logging

import pytest
import torch

from swarmd.errors import ConfigError, ModelError
from swarmd.policy.generation import continuous
from swarmd.policy.generation.continuous import ContinuousGenerator


def build(policy) -> ContinuousGenerator:
    return ContinuousGenerator(policy.model, pad_id=0, eos_ids=frozenset({1}), dtype=torch.float32)


def decode(generator, prompts=((65, 66),), copies=2, new_tokens=4):
    uniforms = torch.rand(len(prompts) * copies, new_tokens, generator=torch.Generator().manual_seed(0))
    return generator.decode(prompts, copies, new_tokens, uniforms=uniforms, temperature=1.0)


def test_a_failure_in_the_librarys_thread_is_a_model_error_that_names_another_generator(make_policy):
    policy = make_policy()

    def fail(*_args, **_kwargs):
        raise RuntimeError("no such kernel")

    policy.model.forward = fail
    with pytest.raises(ModelError, match=r"no such kernel.*--generator auto"):
        decode(build(policy))


def test_a_lack_of_memory_in_the_librarys_thread_is_one_here(make_policy):
    policy = make_policy()

    def fail(*_args, **_kwargs):
        raise torch.OutOfMemoryError("tried to allocate 20 MiB")

    policy.model.forward = fail
    with pytest.raises(torch.OutOfMemoryError, match="20 MiB"):
        decode(build(policy))


def test_what_is_raised_here_is_not_printed_by_the_library_as_well(make_policy):
    policy, printed = make_policy(), []
    handler = logging.Handler()
    handler.emit = printed.append

    def fail(*_args, **_kwargs):
        raise torch.OutOfMemoryError("tried to allocate 20 MiB")

    policy.model.forward = fail
    generator = build(policy)
    logging.getLogger(continuous.LIBRARY_LOG).addHandler(handler)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            decode(generator)
    finally:
        logging.getLogger(continuous.LIBRARY_LOG).removeHandler(handler)
    assert printed == []


def test_the_cache_holds_the_rows_and_no_more(make_policy):
    generator = build(make_policy())
    settings = generator._settings(rows=10, longest=33, seed=0)
    assert settings.num_blocks * settings.page_size == 10 * 64, "two pages of 32 for 33 tokens"
    assert settings.max_requests_per_batch == 10


def test_an_attention_that_the_library_exchanges_comes_back(make_policy):
    policy = make_policy()
    policy.model.set_attn_implementation("eager")
    decode(build(policy))
    assert policy.model.config._attn_implementation == "eager"


def test_an_attention_that_the_library_does_not_take_is_a_model_error(make_policy):
    policy = make_policy()
    policy.model.config._attn_implementation = "flex_attention"
    with pytest.raises(ModelError, match=r"does not take this model.*--generator auto"):
        decode(build(policy))
    assert policy.model.config._attn_implementation == "flex_attention"


def test_every_setting_that_is_given_is_one_that_is_looked_for(make_policy, monkeypatch):
    given = {}
    monkeypatch.setattr(continuous, "ContinuousBatchingConfig", lambda **settings: given.update(settings))
    monkeypatch.setattr(continuous, "_known_settings", lambda: continuous.NEEDED_SETTINGS)
    build(make_policy())._settings(rows=1, longest=1, seed=0)
    assert given.keys() == continuous.NEEDED_SETTINGS


@pytest.mark.parametrize("lacking", [{"seed"}, {"page_size"}, continuous.NEEDED_SETTINGS])
def test_a_release_without_a_setting_is_refused_by_the_settings_name(make_policy, monkeypatch, lacking):
    monkeypatch.setattr(continuous, "_known_settings", lambda: continuous.NEEDED_SETTINGS - lacking)
    with pytest.raises(ConfigError, match=rf"needs a newer transformers .*no {min(lacking)}"):
        build(make_policy())
