"""Any causal model of transformers works, or is refused with one clear ModelError. Never with a traceback."""

import dataclasses
import json
import shutil
import warnings

import pytest
import torch
from transformers import (
    JambaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MixtralConfig,
    MptConfig,
    OlmoeConfig,
    Phi3Config,
    Qwen2MoeConfig,
    RwkvConfig,
    XLNetConfig,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.utils.quantization_config import QuantizationMethod

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError, OutOfMemoryError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.hardware.probe import HardwareProbe
from swarmd.logprobs import TokenRow
from swarmd.model import load_model, on_meta, shape_of
from swarmd.model.adapters import ADAPTER, adapted_modules, with_adapters
from swarmd.policy import PromptTooLongError, load_policy, prepare_plan
from swarmd.policy import engines as engines_module
from swarmd.policy import loading as loading_module
from swarmd.policy.engines import EngineWish, Subject, choose_engine
from tests.conftest import byte_tokenizer

STEP = Workload(own_groups=2, external_groups=0, group_size=2, new_tokens=8)
MACHINE = HardwareProbe((), 1, 0.0, False, None, free_bytes=8 * 2**30, held_bytes=2**28)
SIZES = {"vocab_size": 259, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0, "eos_token_id": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
EXPERTS = {**SIZES, **HEADS, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
MIXTURES = {
    "mixtral": MixtralConfig(**SIZES, **HEADS, num_local_experts=4),
    "qwen2_moe": Qwen2MoeConfig(**EXPERTS, num_experts=4, num_experts_per_tok=2),
    "olmoe": OlmoeConfig(**SIZES, **HEADS, num_experts=4, num_experts_per_tok=2),
}


@pytest.fixture
def start(tmp_path):
    """start(directory, **wishes): the model planned and loaded as a peer does it."""

    def start(directory, **wishes):
        config = PolicyConfig(model=str(directory), device="cpu", threads=1, dtype="float32", **wishes)
        plan = prepare_plan(config, STEP, rates_cache=tmp_path / "rates.json", probe=MACHINE).plan
        return load_policy(config, plan, max_new_tokens=8)

    return start


@pytest.fixture
def written(tmp_path):
    """written(config): the directory of a random model of this configuration, with the byte tokenizer."""

    def write(config):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
        byte_tokenizer().save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return write


# --- other kinds of model ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        MambaConfig(**SIZES, state_size=8, expand=2),
        RwkvConfig(**SIZES, attention_hidden_size=32, intermediate_size=48),
        JambaConfig(**SIZES, **HEADS, num_experts=2, mamba_d_state=4, use_mamba_kernels=False),
        XLNetConfig(vocab_size=259, d_model=32, n_layer=2, n_head=4, d_inner=48, pad_token_id=0),
    ],
    ids=["mamba", "rwkv", "jamba", "xlnet"],
)
def test_what_keeps_no_keys_and_values_is_refused_in_one_sentence(config, written, start):
    with pytest.raises(ModelError, match=r"^[^\n]*(failed|token by token)[^\n]*use another model$"):
        start(written(config))


def test_a_hybrid_of_attention_and_state_space_layers_works(written, start):
    config = JambaConfig(
        **SIZES,
        **HEADS,
        num_experts=2,
        mamba_d_state=4,
        attn_layer_period=2,
        attn_layer_offset=1,
        use_mamba_kernels=False,
    )
    policy = start(written(config))
    prompts = [policy.render("2+2?"), policy.render("How many?")]
    groups = policy.generate(prompts, 3, rng=torch.Generator().manual_seed(0))
    for prompt, samples in zip(prompts, groups, strict=True):
        for sample in samples:
            with torch.no_grad():
                scored, _ = policy.logprobs([TokenRow(tuple(prompt), sample.token_ids)])
            assert scored[0].tolist() == pytest.approx(sample.logprobs, abs=1e-4)


def test_a_configuration_without_heads_or_layers_is_sized_all_the_same():
    shape = shape_of(on_meta(MambaConfig(**SIZES)))
    assert shape.layers == 2
    assert shape.cache_width > 0
    assert shape.context > 10**6


def llama(**more):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, **HEADS, initializer_range=0.3, **more)).eval()


def choose(model):
    return choose_engine(EngineWish("eager"), Subject(model, 0, torch.float32), eos_ids=frozenset({2}))


def test_a_model_that_looks_ahead_is_refused():
    model = llama(attn_implementation="eager")
    plain = model.model.forward

    def without_mask(*args, attention_mask=None, **more):
        shape = (*more["input_ids"].shape, 0)
        length = shape[1] + (more["past_key_values"].get_seq_length() if more.get("past_key_values") else 0)
        open_mask = torch.zeros(shape[0], 1, shape[1], length)
        return plain(*args, attention_mask=open_mask, **more)

    model.model.forward = without_mask
    with pytest.raises(ModelError, match=r"llama writes token by token .*not causal.*use another model"):
        choose(model)


def test_a_model_that_says_something_else_with_a_cache_is_refused():
    model = llama()
    plain = model.forward

    def forgetful(*args, past_key_values=None, **more):
        output = plain(*args, past_key_values=past_key_values, **more)
        if past_key_values is not None:
            output.logits = output.logits.flip(-1)
        return output

    model.forward = forgetful
    with pytest.raises(ModelError, match=r"keeps more than keys and values: use another model"):
        choose(model)


# --- quantised models --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantisation", "package"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "optimum"),
        ({"quant_method": "awq", "bits": 4}, "gptqmodel"),
    ],
)
def test_a_quantised_model_whose_package_is_missing_names_it(
    tiny_model_dir, tmp_path, start, quantisation, package
):
    directory = shutil.copytree(tiny_model_dir, tmp_path / "quantised")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "quantization_config": quantisation}))
    with pytest.raises(ModelError, match=rf"{package}.*: install the package named there"):
        start(directory)


def test_adapters_go_on_quantised_weights_as_these_are(tiny_model_dir, monkeypatch):
    def quantised(*args, **options):
        model, tokenizer = load_model(*args, **options)
        model.is_quantized, model.quantization_method = True, QuantizationMethod.GPTQ
        with pytest.raises(ValueError, match="cast a GPTQ model"):
            model.to("cpu", torch.float32)
        return model, tokenizer

    monkeypatch.setattr(loading_module, "load_model", quantised)
    plan = HardwarePlan(str(tiny_model_dir), "cpu", "float32", 1, LoraPlan(4, 8), ())
    policy = load_policy(PolicyConfig(), plan, max_new_tokens=8)
    assert all(".lora_" in name for name, _ in policy.trainable_parameters())
    with pytest.raises(ModelError, match=r"quantised and cannot be trained: add --lora r=16"):
        load_policy(PolicyConfig(), dataclasses.replace(plan, lora=None), max_new_tokens=8)


def test_quantised_weights_that_take_no_adapters_are_not_said_to_be_trainable_without(
    tiny_model_dir, monkeypatch
):
    def quantised(*args, **options):
        model, tokenizer = load_model(*args, **options)
        model.is_quantized = True
        model.to = _refuse
        return model, tokenizer

    monkeypatch.setattr(loading_module, "load_model", quantised)
    plan = HardwarePlan(str(tiny_model_dir), "cpu", "float32", 1, LoraPlan(4, 8), ())
    with pytest.raises(ModelError, match=r"not here\): use the model's original weights"):
        load_policy(PolicyConfig(), plan, max_new_tokens=8)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Cannot allocate memory (os error 12)"),
        RuntimeError("unable to mmap 400 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
    ],
)
def test_memory_that_runs_out_while_weights_are_read_is_told_with_a_remedy(
    tiny_model_dir, monkeypatch, error
):
    def short(*_arguments, **_named):
        raise error

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", short)
    plan = HardwarePlan(str(tiny_model_dir), "cpu", "float32", 1, None, ())
    with pytest.raises(OutOfMemoryError, match=r"memory ran out: try --lora r=16, another --device"):
        load_policy(PolicyConfig(), plan, max_new_tokens=8)


# --- gradients ---------------------------------------------------------------------------------------


def _refuse(*_args):
    raise ValueError("not here")


class OneWay(torch.autograd.Function):
    """Computes, and cannot be learned through."""

    @staticmethod
    def forward(ctx, states):
        return states.clone()

    @staticmethod
    def backward(ctx, *_grad_outputs):
        return _refuse()


def one_way(*args, **options):
    model, tokenizer = load_model(*args, **options)
    model.lm_head.register_forward_pre_hook(lambda _, inputs: (OneWay.apply(inputs[0]),))
    return model, tokenizer


def test_a_model_that_computes_and_cannot_be_learned_through_is_refused_at_the_start(
    tiny_model_dir, monkeypatch
):
    monkeypatch.setattr(loading_module, "load_model", one_way)
    monkeypatch.setattr(engines_module, "why_not_packed", lambda base: "this test wants the hook")
    plan = HardwarePlan(str(tiny_model_dir), "cpu", "float32", 1, None, ())
    with pytest.raises(ModelError, match=r"computing gradients failed .*not here.*use another model"):
        load_policy(PolicyConfig(), plan, max_new_tokens=8)
    assert load_policy(PolicyConfig(), plan, max_new_tokens=8, training=False)


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_what_is_tried_at_the_start_leaves_no_gradient(make_policy, lora_rank):
    policy = make_policy(lora_rank=lora_rank)
    assert all(parameter.grad is None for _, parameter in policy.trainable_parameters())
    assert policy.factored_gradients is None or not policy.factored_gradients.weights()


# --- positions that depend on the batch ----------------------------------------------------------------


def phi3(**more):
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    return Phi3Config(
        **SIZES,
        **HEADS,
        max_position_embeddings=512,
        original_max_position_embeddings=128,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, **factors},
        **more,
    )


def test_rows_stay_within_the_context_in_which_rotary_angles_depend_on_no_other_row(written, start):
    policy = start(written(phi3()))
    assert any("128 of the model's 512 tokens" in reason for reason in policy.reasons)
    policy.tokenizer.render = lambda *_: [5] * 125
    with pytest.raises(PromptTooLongError, match="context of 128"):
        policy.render("?")
    assert shape_of(on_meta(phi3())).context == 128


def test_mpt_writes_up_to_its_own_limit_and_no_further(written, start):
    config = MptConfig(vocab_size=259, d_model=32, n_heads=4, n_layers=1, max_seq_len=64)
    policy = start(written(config))
    policy.tokenizer.render = lambda *_: [5] * 57
    with pytest.raises(PromptTooLongError, match="context of 64 has room for 56"):
        policy.render("?")
    [[sample]] = policy.generate([[5] * 56], 1, rng=torch.Generator().manual_seed(0))
    assert len(sample.token_ids) == 8 or sample.finished
    assert shape_of(on_meta(config)).context == 64


def test_the_angles_of_such_a_model_do_depend_on_other_rows_beyond_it():
    torch.manual_seed(0)
    rotary = AutoModelForCausalLM.from_config(phi3()).model.rotary_emb
    states = torch.zeros(1, 200, 32)
    alone = rotary(states[:, :100], torch.arange(100)[None])[0]
    beside = rotary(states, torch.arange(200)[None])[0][:, :100]
    assert not torch.allclose(alone, beside)


# --- warnings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wishes", [{"engine": "eager"}, {"lora_rank": 4}], ids=["decoding", "adapters"])
@pytest.mark.parametrize("name", [*MIXTURES, "llama"])
def test_libraries_warn_the_operator_of_nothing_that_only_we_can_mend(name, wishes, written, start):
    directory = written(MIXTURES.get(name) or LlamaConfig(**SIZES, **HEADS))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        start(directory, **wishes)
    assert [str(warning.message) for warning in told] == []


# --- adapters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MIXTURES)
def test_the_adapters_of_a_mixture_of_experts_are_counted_as_they_are_made(name):
    config = MIXTURES[name]
    adapted = with_adapters(AutoModelForCausalLM.from_config(config), LoraPlan(4, 8))
    made = sum(p.numel() for key, p in adapted.named_parameters() if ADAPTER in key)
    assert shape_of(on_meta(config)).adapter_parameters(4) == made > 0
    assert {"q_proj", "k_proj", "v_proj", "o_proj"} <= set(adapted_modules(adapted))


def test_where_the_adapters_are_is_told(make_policy):
    assert "LoRA adapters are on down_proj, gate_proj, k_proj" in make_policy(lora_rank=4).reasons[-1]
    assert not any("LoRA" in reason for reason in make_policy().reasons)
