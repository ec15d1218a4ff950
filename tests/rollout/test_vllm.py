"""vLLM as the engine, with a stand-in for vLLM itself: memory, refusals, and that it always sleeps again."""

import threading

import pytest
import torch

from swarmd.errors import ConfigError, ModelError
from swarmd.rollout import GenerationStoppedError, vllm
from swarmd.rollout.vllm import VllmEngine, check_possible, memory_share, token_bytes
from tests.rollout.stand_in_engine import StandInEngine


def decode(policy, engine, **more):
    loaded = VllmEngine(policy.model, eos_ids=frozenset({1}), dtype=torch.float32, engine=engine)
    uniforms = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    return loaded.decode([[65], [66, 67]], 2, 6, uniforms=uniforms, temperature=1.0, **more)


def test_the_engine_sleeps_between_calls_and_gets_the_weights_before_each(make_policy):
    policy = make_policy()
    engine = StandInEngine(policy.model)
    decode(policy, engine)
    decode(policy, engine)
    assert engine.calls == ["wake", "sleep"] * 2


def test_a_stop_leaves_no_row_behind(make_policy):
    policy = make_policy()
    engine, stop = StandInEngine(policy.model), threading.Event()
    with pytest.raises(GenerationStoppedError):
        decode(policy, engine, progress=lambda _: stop.set(), should_stop=stop)
    assert engine.calls == ["wake", "abort", "sleep"]


def test_a_failing_engine_is_put_to_sleep(make_policy):
    policy = make_policy()
    engine = StandInEngine(policy.model)

    def fail():
        raise ModelError("vLLM failed while decoding")

    engine.step = fail
    with pytest.raises(ModelError, match="while decoding"):
        decode(policy, engine)
    assert engine.calls == ["wake", "abort", "sleep"]


def test_a_row_does_not_depend_on_the_rows_beside_it(make_policy):
    policy = make_policy()
    loaded = VllmEngine(
        policy.model, eos_ids=frozenset({1}), dtype=torch.float32, engine=StandInEngine(policy.model)
    )
    uniforms = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    together = loaded.decode([[65], [66]], 1, 6, uniforms=uniforms, temperature=1.0)
    alone = loaded.decode([[66]], 1, 6, uniforms=uniforms[1:], temperature=1.0)
    assert together[1].token_ids == alone[0].token_ids


@pytest.mark.parametrize(
    ("device", "temperature", "names"),
    [
        ("cpu", 1.0, "device is cpu: use --engine auto"),
        ("cuda:1", 1.0, "CUDA_VISIBLE_DEVICES=1"),
        ("cuda:0", 3.0, "temperature is 3.0"),
        ("cuda:0", 0.001, "temperature is 0.001"),
    ],
)
def test_what_vllm_cannot_do_is_refused_by_the_settings_name(device, temperature, names):
    with pytest.raises(ConfigError, match=rf"engine vllm .*{names}"):
        check_possible(torch.device(device), temperature)


def test_the_first_gpu_at_an_ordinary_temperature_is_taken():
    check_possible(torch.device("cuda:0"), 1.0)
    check_possible(torch.device("cuda"), 0.7)


def test_the_limit_less_weights_and_moments_is_the_engines(make_policy):
    model = make_policy().model
    count = sum(p.numel() for p in model.parameters())
    share = memory_share(model, total_bytes=100 * count, memory_bytes=62 * count, dtype=torch.bfloat16)
    assert share == pytest.approx((62 - 4 - 8) / 100)
    assert (
        memory_share(model, total_bytes=count, memory_bytes=62 * count, dtype=torch.bfloat16)
        == vllm.SHARE_MAX
    )


def test_the_engine_takes_no_more_than_its_copy_its_cache_and_a_spare(make_policy):
    model = make_policy().model
    copy = 2 * sum(p.numel() for p in model.parameters())
    sizes = {"total_bytes": 2**37, "memory_bytes": 2**36, "dtype": torch.bfloat16}
    share = memory_share(model, cache_bytes=2**30, **sizes)
    assert share == pytest.approx((copy + 2**30 + vllm.SPARE_BYTES) / 2**37)
    assert memory_share(model, cache_bytes=2**40, **sizes) == memory_share(model, **sizes)


@pytest.mark.parametrize("more", [{}, {"lora_rank": 4}])
def test_a_token_in_the_cache_is_its_keys_and_values_in_all_layers(make_policy, more):
    model = make_policy(**more).model
    config = model.config
    head = config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_key_value_heads * head * config.num_hidden_layers
    assert token_bytes(model, torch.bfloat16) == 2 * numbers


def test_an_adapter_leaves_more_for_the_engine(make_policy):
    model = make_policy(lora_rank=4, dtype="bfloat16").model
    sizes = {"total_bytes": 10**7, "memory_bytes": 5 * 10**6, "dtype": torch.bfloat16}
    assert memory_share(model, **sizes) > memory_share(make_policy().model, **sizes)


def test_a_limit_without_room_for_a_second_copy_is_refused(make_policy):
    model = make_policy().model
    count = sum(p.numel() for p in model.parameters())
    with pytest.raises(ConfigError, match=r"memory limit .*--lora"):
        memory_share(model, total_bytes=100 * count, memory_bytes=13 * count, dtype=torch.bfloat16)
