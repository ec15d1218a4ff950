"""Any causal model of transformers works, or is refused with one clear ModelError. Never with a traceback."""

import json
import shutil

import pytest
import torch
from transformers import (
    JambaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MixtralConfig,
    OlmoeConfig,
    Qwen2MoeConfig,
    RwkvConfig,
    XLNetConfig,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import LoraPlan
from swarmd.hardware.probe import HardwareProbe
from swarmd.logprobs import TokenRow
from swarmd.model import on_meta, shape_of
from swarmd.model.adapters import ADAPTER, adapted_modules, with_adapters
from swarmd.policy import load_policy, prepare_plan
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
    with pytest.raises(ModelError, match=rf"{package}.*: install the package that is named there"):
        start(directory)


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


def test_an_adapter_given_as_a_model_is_refused_with_its_base(tmp_path, start):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(ModelError, match=r"holds an adapter and no model: merge it into its base owner/base"):
        start(tmp_path)
