"""Native decoding: it writes what PyTorch's operators write, and steps aside where it cannot."""

import threading
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ConfigError
from swarmd.hardware.arrangement import Arrangement, Workload
from swarmd.hardware.budgets import Budgets
from swarmd.llama import LlamaEngine, NativeEngine, NativeError, kernels, read_decoder
from swarmd.llama.library import library
from swarmd.llama.memory import DecodingMemory
from swarmd.llama.native_batch import NativeBatch
from swarmd.model.sizing import shape_of
from swarmd.policy.engines import EngineWish, Subject, choose_engine, told_native
from swarmd.rollout.interface import GenerationStoppedError
from swarmd.rollout.sampling import draw_uniforms
from tests.llama.making import EOS_IDS, KNOWN, PROMPTS, build, decode, same


def engines(model):
    """The native engine, and the one that it must equal."""
    decoder = read_decoder(model)
    return [kind(decoder, eos_ids=EOS_IDS, dtype=torch.float32) for kind in (NativeEngine, LlamaEngine)]


def choose(model, wish="auto", dtype=torch.float32):
    return choose_engine(EngineWish(wish), Subject(model, 0, dtype), eos_ids=EOS_IDS)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("narrow", [0, 1, 2])
@pytest.mark.parametrize("name", KNOWN)
def test_every_kernel_writes_the_tokens_of_pytorchs_operators_greedily_and_from_the_same_draws(name, narrow):
    native, own = engines(build(*KNOWN[name]))
    native.narrow = narrow
    sampled = decode(native)
    assert len({len(row.token_ids) for row in sampled}) > 2, "rows that end at different steps"
    same(sampled, decode(own))
    same(decode(native, greedily=True, copies=1), decode(own, greedily=True, copies=1))


@pytest.mark.usefixtures("native")
def test_the_embedded_model_writes_the_same_tokens_with_the_same_logprobs_up_to_rounding():
    native, own = engines(AutoModelForCausalLM.from_pretrained(EMBEDDED_MODEL_DIR, dtype=torch.float32))
    draws = draw_uniforms(24, 16, torch.Generator().manual_seed(4))
    for uniforms in (None, draws):
        found, expected = (
            engine.decode(PROMPTS[:3], 8, 16, uniforms=uniforms, temperature=1.0) for engine in (native, own)
        )
        same(found, expected)
        for one, other in zip(found, expected, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=2e-5)


@pytest.mark.usefixtures("native")
def test_the_kernels_of_a_cpu_have_names():
    assert kernels(2) == "128-bit vectors"
    assert f"with {kernels()}" in told_native()


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("copies", [1, 2, 5, 7, 14])
def test_any_number_of_rows_is_multiplied_rightly(copies):
    """Rows are multiplied in tiles of one to six, and what a tile leaves over is a case of its own."""
    native, own = engines(build(*KNOWN["llama, biases everywhere"]))
    for prompts in ([[7, 8, 9]], PROMPTS):
        same(decode(native, prompts, copies), decode(own, prompts, copies))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("sizes", [(37, 43, 36), (300, 34, 40), (301, 256, 20)])
def test_sizes_that_no_vector_divides_are_computed_rightly(sizes):
    vocabulary, between, head_size = sizes
    kind, config, _ = KNOWN["qwen3, norms on heads of another size"]
    more = {"head_dim": head_size, "intermediate_size": between, "vocab_size": vocabulary}
    native, own = engines(build(kind, config, more))
    prompts = [[token % vocabulary for token in prompt] for prompt in PROMPTS]
    same(decode(native, prompts), decode(own, prompts))


@pytest.mark.usefixtures("native")
def test_a_prompt_longer_than_one_run_and_a_completion_longer_than_one_block_are_computed_rightly():
    native, own = engines(build(*KNOWN["qwen2"][:2], {"max_position_embeddings": 512}))
    native._eos_ids = own._eos_ids = frozenset()
    prompts = [[n % 200 for n in range(300)], [5], [9] * 128]
    draws = draw_uniforms(6, 40, torch.Generator().manual_seed(3))
    given = {"uniforms": draws, "temperature": 1.0}
    same(native.decode(prompts, 2, 40, **given), own.decode(prompts, 2, 40, **given))


@pytest.mark.usefixtures("native")
def test_more_rows_than_logits_are_held_for_are_decoded():
    native, own = engines(build(*KNOWN["llama, tied head"]))
    same(decode(native, copies=30), decode(own, copies=30))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_write_what_one_writes(threads, monkeypatch):
    native, _ = engines(build(*KNOWN["qwen2"][:2], {"hidden_size": 128, "intermediate_size": 512}))
    alone = decode(native, copies=6)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert decode(native, copies=6) == alone


@pytest.mark.usefixtures("native")
def test_adapters_add_their_share_and_a_disabled_one_does_not():
    model = build(*KNOWN["qwen2"])
    targets = ["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapted = get_peft_model(model, LoraConfig(r=3, lora_alpha=7, target_modules=targets))
    plain = decode(engines(adapted)[1])
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape) * 0.3)
    native, own = engines(adapted)
    same(decode(native), decode(own))
    assert decode(native) != plain
    with adapted.disable_adapter():
        same(decode(native), plain)


@pytest.mark.usefixtures("native")
def test_a_call_uses_the_weights_of_its_time():
    model = build(*KNOWN["qwen2"])
    native, own = engines(model)
    before = decode(native)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    same(decode(native), decode(own))
    assert decode(native) != before


@pytest.mark.usefixtures("native")
def test_a_weight_that_lies_transposed_is_read_as_it_is_meant():
    model = build(*KNOWN["qwen2"])
    native, own = engines(model)
    expected = decode(own)
    linear = model.model.layers[0].mlp.up_proj
    linear.weight = nn.Parameter(linear.weight.detach().t().contiguous().t())
    assert not linear.weight.is_contiguous()
    same(decode(native), expected)


@pytest.mark.usefixtures("native")
def test_finished_rows_leave_and_progress_counts_those_that_write():
    native, own = engines(build(*KNOWN["llama, tied head"]))
    told, expected = [], []
    rows = decode(native, progress=told.append)
    decode(own, progress=expected.append)
    assert told == expected
    assert sum(told) == sum(len(row.token_ids) for row in rows)
    assert told[-1] < told[0]


@pytest.mark.usefixtures("native")
def test_a_row_ends_where_its_listener_says():
    native, own = engines(build(*KNOWN["qwen2"]))
    rows = decode(native, row_end=lambda tokens: len(tokens) == 4)
    assert {len(row.token_ids) for row in rows if not row.finished} == {4}
    same(rows, decode(own, row_end=lambda tokens: len(tokens) == 4))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("tokens_before", [0, 30])
def test_it_stops_before_the_next_step_when_it_is_told_to(tokens_before):
    native, _ = engines(build(*KNOWN["qwen2"]))
    stop, told = threading.Event(), []

    def progress(tokens):
        told.append(tokens)
        if sum(told) >= tokens_before:
            stop.set()

    if not tokens_before:
        stop.set()
    with pytest.raises(GenerationStoppedError):
        decode(native, progress=progress, should_stop=stop)
    assert len(told) == (2 if tokens_before else 0)


@pytest.mark.usefixtures("native")
def test_an_exception_from_progress_ends_decoding_and_the_next_call_works():
    native, own = engines(build(*KNOWN["qwen2"]))

    def fail(_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        decode(native, progress=fail)
    same(decode(native), decode(own))


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("wrong", [-1, 300])
def test_a_token_that_the_model_does_not_have_is_refused_before_it_is_read(wrong):
    native, _ = engines(build(*KNOWN["qwen2"]))
    with pytest.raises(IndexError, match="0 to 299"):
        decode(native, [[1, wrong, 2]])


@pytest.mark.usefixtures("native")
def test_a_model_that_computes_nan_ends_without_a_crash():
    model = build(*KNOWN["qwen2"])
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    native, _ = engines(model)
    for greedily in (False, True):
        rows = decode(native, greedily=greedily)
        assert all(0 <= token < 300 for row in rows for token in row.token_ids)
        assert all(nats != nats for row in rows for nats in row.logprobs)


@pytest.mark.usefixtures("native")
def test_the_least_and_the_greatest_draw_give_tokens_that_have_a_probability():
    native, own = engines(build(*KNOWN["llama, tied head"]))
    draws = torch.tensor([0.0, 1 - 2**-24])[:, None].expand(2, 12)
    given = {"uniforms": draws, "temperature": 0.05}
    least, greatest = native.decode([[3, 4]], 2, 12, **given)
    assert least.token_ids == own.decode([[3, 4]], 2, 12, **given)[0].token_ids
    assert all(nats > -104 for nats in least.logprobs), "float32 has no smaller probability"
    assert all(nats > -40 for nats in greatest.logprobs)


@pytest.mark.usefixtures("native")
def test_it_is_chosen_after_the_trial_and_the_reason_names_its_kernels():
    choice = choose(build(*KNOWN["qwen2"]))
    assert isinstance(choice.engine, NativeEngine)
    assert f"native decoding ({choice.engine.kernels})" in choice.reason


@pytest.mark.usefixtures("native")
def test_wrong_numbers_are_found_by_the_trial_and_pytorchs_operators_decode_with_the_reason(monkeypatch):
    right = NativeEngine.replay
    monkeypatch.setattr(NativeEngine, "replay", lambda *given: right(*given) - 0.1)
    choice = choose(build(*KNOWN["qwen2"]))
    assert isinstance(choice.engine, LlamaEngine)
    assert "not natively: it differs by 0.1" in choice.reason
    with pytest.raises(ConfigError, match=r"engine native was asked for, but it differs.*--engine auto"):
        choose(build(*KNOWN["qwen2"]), "native")


@pytest.mark.usefixtures("native")
def test_other_products_than_float32_are_left_to_pytorch_with_the_reason():
    choice = choose(build(*KNOWN["qwen2"]), dtype=torch.bfloat16)
    assert isinstance(choice.engine, LlamaEngine)
    assert "not natively: products are in bfloat16" in choice.reason


@pytest.mark.usefixtures("native")
def test_weights_in_another_dtype_are_not_read_as_float32():
    native, _ = engines(build(*KNOWN["qwen2"]).to(torch.bfloat16))
    with pytest.raises(NativeError, match="a weight is in bfloat16 on cpu"):
        decode(native)


@pytest.mark.usefixtures("native")
def test_another_activation_is_left_to_pytorch_with_the_reason():
    choice = choose(build(*KNOWN["qwen2"][:2], {"hidden_act": "gelu"}))
    assert isinstance(choice.engine, LlamaEngine)
    assert "not natively: its activation is GELU" in choice.reason


def test_without_the_library_pytorchs_operators_decode_with_the_reason(place_library, tmp_path):
    place_library(tmp_path)
    choice = choose(build(*KNOWN["qwen2"]))
    assert isinstance(choice.engine, LlamaEngine)
    assert "not natively: it was not built" in choice.reason
    assert "none; PyTorch's operators decode instead: it was not built" in told_native()
    with pytest.raises(ConfigError, match=r"engine native was asked for, but it was not built"):
        choose(build(*KNOWN["qwen2"]), "native")


def test_a_corrupted_library_is_not_loaded_and_the_reason_says_so(place_library, tmp_path):
    (tmp_path / "_native.abi3.so").write_bytes(b"not a library")
    place_library(tmp_path)
    choice = choose(build(*KNOWN["qwen2"]))
    assert isinstance(choice.engine, LlamaEngine)
    assert "not natively: _native.abi3.so cannot be used" in choice.reason


@pytest.mark.usefixtures("native")
def test_a_library_of_another_version_is_not_called_and_the_reason_says_what_to_do(monkeypatch):
    monkeypatch.setattr("swarmd.llama.library.VERSION", 2_000_000)
    choice = choose(build(*KNOWN["qwen2"]))
    assert isinstance(choice.engine, LlamaEngine)
    assert "is of another version of swarmd: install swarmd again" in choice.reason


@pytest.mark.usefixtures("native")
def test_asked_for_pytorchs_operators_it_does_not_decode():
    choice = choose(build(*KNOWN["qwen2"]), "own")
    assert isinstance(choice.engine, LlamaEngine)
    assert "natively" not in choice.reason


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("lora_rank", [None, 4])
def test_the_memory_that_it_states_is_about_what_its_library_asks_for(lora_rank):
    model = build(*KNOWN["qwen2"])
    if lora_rank is not None:
        model = get_peft_model(model, LoraConfig(r=lora_rank, target_modules="all-linear"))
    work = Workload(own_groups=2, external_groups=0, group_size=8, new_tokens=32, prompt_tokens=64)
    shape = replace(shape_of(build(*KNOWN["qwen2"])), adapter_parameters_per_rank=lambda: 0)
    arrangement = Arrangement("cpu", "float32", lora_rank, Budgets(16 * work.row_tokens, 1, False))
    stated = DecodingMemory.of(read_decoder(model), native=True)(shape, arrangement, work)
    decoder = read_decoder(model)
    distinct = NativeBatch(library(), decoder, [[1] * 64] * 16, 1, 32)
    shared = NativeBatch(library(), decoder, [[1] * 64] * 2, 8, 32)
    with distinct, shared:
        assert sum(stated.values()) == pytest.approx(4 * distinct.numel, rel=0.1)
        assert shared.numel < distinct.numel


@pytest.mark.usefixtures("native")
def test_memory_is_stated_for_pytorchs_operators_where_they_decode():
    decoder = read_decoder(build(*KNOWN["qwen2"]))
    work = Workload(own_groups=2, external_groups=0, group_size=8, new_tokens=32, prompt_tokens=64)
    shape = shape_of(build(*KNOWN["qwen2"]))
    budgets = Budgets(16 * work.row_tokens, 1, False)
    in_float32, in_bfloat16 = (Arrangement("cpu", dtype, None, budgets) for dtype in ("float32", "bfloat16"))
    native, own = (DecodingMemory.of(decoder, native=native) for native in (True, False))
    assert native(shape, in_float32, work) != own(shape, in_float32, work)
    assert native(shape, in_bfloat16, work) == own(shape, in_bfloat16, work)
