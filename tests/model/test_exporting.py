"""A folder that swarmd exports is an ordinary model: transformers and peft load it to the same logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, pipeline

from benchmarks.tiny_visual import write_tiny_visual
from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.images import Image
from swarmd.logprobs import TokenRow
from swarmd.model.exporting import Trained, write_adapter, write_model
from swarmd.model.locating import locate
from swarmd.policy import Policy, load_policy
from tests.conftest import byte_tokenizer, tiny_model

QUESTION = "What is 12 + 30?"
EXACT = 1e-4  # float32 sums in another order; logits reach 20
HALF = 0.2  # bfloat16 keeps 8 bits of each weight

Make = Callable[..., tuple[Policy, Trained]]


@pytest.fixture
def train() -> Make:
    """A policy whose weights were changed, as training would, and what a checkpoint holds of it."""

    def make(
        model: str | Path, lora_rank: int | None = None, dtype: str = "float32"
    ) -> tuple[Policy, Trained]:
        lora = None if lora_rank is None else LoraPlan(lora_rank, 2 * lora_rank)
        plan = HardwarePlan(str(model), "cpu", dtype, 1, lora, ())
        policy = load_policy(PolicyConfig(model=plan.model), plan, max_new_tokens=8)
        random = torch.Generator().manual_seed(1)
        changed = {
            name: tensor + 0.02 * torch.randn(tensor.shape, generator=random)
            for name, tensor in policy.trainable_state().items()
        }
        policy.load_trainable_state(changed)
        fingerprint = policy.tokenizer.fingerprint.hex()
        return policy, Trained(locate(plan.model), policy.trainable_state(), lora, {}, fingerprint)

    return make


@pytest.fixture(scope="module")
def untied_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose output layer has weights of its own."""
    path = tmp_path_factory.mktemp("untied")
    model = tiny_model()
    model.config.tie_word_embeddings = False
    untied = type(model)(model.config)
    untied.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


def logits_of(model: torch.nn.Module, prompt: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([prompt])).logits
    return logits.float()


def apart(policy: Policy, folder: Path) -> float:
    """The largest difference of any logit between the policy and what transformers reads from `folder`."""
    prompt = policy.render(QUESTION)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    return float((logits_of(policy.model, prompt) - logits_of(loaded, prompt)).abs().max())


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_the_embedded_model_gives_the_same_logits_with_all_weights_or_an_adapter_merged(
    train, tmp_path, lora_rank
) -> None:
    policy, trained = train("embedded", lora_rank)
    write_model(trained, tmp_path, torch.float32)
    assert apart(policy, tmp_path) < EXACT
    assert not list(tmp_path.glob("adapter*"))


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_an_output_layer_of_its_own_is_written_too(train, untied_model_dir, tmp_path, lora_rank) -> None:
    policy, trained = train(untied_model_dir, lora_rank)
    write_model(trained, tmp_path, torch.float32)
    assert apart(policy, tmp_path) < EXACT


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_bfloat16_is_what_was_trained_but_for_its_rounding(
    train, tiny_model_dir, tmp_path, lora_rank
) -> None:
    policy, trained = train(tiny_model_dir, lora_rank)
    write_model(trained, tmp_path, torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == torch.bfloat16
    assert apart(policy, tmp_path) < HALF


def test_an_adapter_on_a_bfloat16_base_is_merged_without_losing_its_small_updates(
    train, tiny_model_dir, tmp_path
) -> None:
    policy, trained = train(tiny_model_dir, 2, "bfloat16")
    write_model(trained, tmp_path, torch.float32)
    assert apart(policy, tmp_path) < HALF


def test_an_adapter_alone_is_what_peft_loads_on_its_base(train, tiny_model_dir, tmp_path) -> None:
    policy, trained = train(tiny_model_dir, 2)
    write_adapter(trained, tmp_path)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_dir), tmp_path)
    prompt = policy.render(QUESTION)
    assert float((logits_of(policy.model, prompt) - logits_of(loaded, prompt)).abs().max()) < EXACT
    assert loaded.peft_config["default"].base_model_name_or_path == str(tiny_model_dir)
    assert not (tmp_path / "model.safetensors").exists()


def test_an_adapter_of_a_hub_model_starts_on_the_commit_that_it_was_trained_on(
    train, tiny_model_dir, tmp_path, cache_snapshot
) -> None:
    snapshot = cache_snapshot(tiny_model_dir, "a" * 40)
    _, trained = train("owner/name", 2)
    write_adapter(trained, tmp_path / "out")
    cache_snapshot(tiny_model_dir, "b" * 40)
    located = locate(str(tmp_path / "out"))
    assert (located.base, located.folder) == ("owner/name", snapshot)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"v_proj": 9}},
        {"layers_to_transform": [1]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_began_as_an_adapter_of_peft_is_merged_as_peft_merges_it(
    tiny_model_dir, tmp_path, settings
) -> None:
    """As `train` makes it, but from a start with a scale, ranks or layers of its own."""
    start, out = tmp_path / "start", tmp_path / "out"
    config = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"], **settings
    )
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model_dir), config)
    adapted.save_pretrained(start)
    trained = {name: tensor for name, tensor in adapted.named_parameters() if tensor.requires_grad}
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in trained.values():
            tensor += 0.3 * torch.randn(tensor.shape, generator=random)
    write_model(Trained(locate(str(start)), trained, LoraPlan(4, 12), {}), out, torch.float32)
    ids = byte_tokenizer()(QUESTION)["input_ids"]
    untrained = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    found = logits_of(AutoModelForCausalLM.from_pretrained(out), ids)
    assert float((found - logits_of(adapted.merge_and_unload(), ids)).abs().max()) < EXACT
    assert float((found - logits_of(untrained, ids)).abs().max()) > 0.1


def test_there_is_no_adapter_where_all_weights_were_trained(train, tiny_model_dir, tmp_path) -> None:
    _, trained = train(tiny_model_dir)
    with pytest.raises(ConfigError, match="all weights were trained"):
        write_adapter(trained, tmp_path)


def test_the_tokenizer_template_and_ends_are_those_that_were_trained_with(train, tmp_path) -> None:
    policy, trained = train("embedded")
    write_model(trained, tmp_path, torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    asked = policy.tokenizer.asked(QUESTION)
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert ids == list(policy.render(QUESTION))
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == policy.tokenizer.eos_id


def test_the_pipeline_answers_as_the_policy_does(train, tmp_path) -> None:
    policy, trained = train("embedded")
    write_model(trained, tmp_path, torch.float32)
    generate = pipeline("text-generation", str(tmp_path))
    asked = policy.tokenizer.asked(QUESTION)
    [reply] = generate(asked, do_sample=False, max_new_tokens=8, return_full_text=False)
    [own] = policy.greedy([policy.render(QUESTION)], 8)
    assert reply["generated_text"] == own.text


def test_published_settings_that_contradict_themselves_are_written_all_the_same(train, tmp_path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    model = tiny_model()
    model.save_pretrained(base)
    byte_tokenizer().save_pretrained(base)
    (base / "generation_config.json").write_text('{"temperature": 0.6, "eos_token_id": 1}')
    _, trained = train(base)
    write_model(trained, out, torch.float32)
    assert GenerationConfig.from_pretrained(out).temperature == 0.6


def test_weights_of_another_model_or_tokenizer_are_refused(train, tiny_model_dir, tmp_path) -> None:
    _, trained = train(tiny_model_dir)
    other = Trained(locate(str(tiny_model_dir)), trained.tensors, None, {}, "00" * 8)
    with pytest.raises(ModelError, match="a different tokenizer"):
        write_model(other, tmp_path, torch.float32)
    with pytest.raises(ModelError, match="belong to another model"):
        write_model(Trained(locate("embedded"), trained.tensors, None, {}), tmp_path, torch.float32)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("architecture", "lora_rank"), [("gemma3", None), ("qwen3_vl", 4), ("smolvlm", None)]
)
def test_an_exported_vision_model_sees_the_same(
    train: Make, tmp_path: Path, architecture: str, lora_rank: int | None
) -> None:
    write_tiny_visual(architecture, tmp_path / "base")
    policy, trained = train(tmp_path / "base", lora_rank)
    out = tmp_path / "out"
    out.mkdir()
    write_model(trained, out, torch.float32)
    plan = HardwarePlan(str(out), "cpu", "float32", 1, None, ())
    again = load_policy(PolicyConfig(model=str(out)), plan, max_new_tokens=8)
    prompt = policy.render(QUESTION, images=(Image(2, 1, bytes(range(6))),))
    assert again.render(QUESTION, images=prompt.images) == prompt
    row = TokenRow(prompt, (5, 6, 7))
    with torch.no_grad():
        found, expected = (each.logprobs([row])[0] for each in (again, policy))
    torch.testing.assert_close(found, expected, atol=EXACT, rtol=EXACT)
