"""Which names load which model, and what is said when they do not."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2ForCausalLM

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.plan import HardwarePlan
from swarmd.model import hub as hub_module
from swarmd.model.tokenizer import ChatTokenizer, tokenizer_fingerprint
from swarmd.policy import Policy, PromptTooLongError, load_policy
from swarmd.tasks import Exchange


def load(model, limit=8, **config):
    plan = HardwarePlan(str(model), "cpu", "float32", 1, None, ())
    return load_policy(PolicyConfig(model=str(model), **config), plan, max_new_tokens=limit)


@pytest.fixture
def copied(tiny_model_dir, tmp_path):
    return shutil.copytree(tiny_model_dir, tmp_path / "model")


def test_a_directory_loads_with_family_fingerprint_and_padding_on_the_left(tiny_model_dir):
    policy = load(tiny_model_dir)
    assert policy.family == "qwen2-27K"
    assert len(policy.tokenizer_fingerprint) == 8
    assert policy.tokenizer.hf.padding_side == "left"
    assert not policy.model.training


def test_the_embedded_model_loads_and_answers():
    policy = load("embedded")
    (completion,) = policy.greedy([policy.render("What is 2 + 3?")])
    assert completion.token_ids


def test_the_engine_that_was_asked_for_writes_the_completions(tiny_model_dir):
    policy = load(tiny_model_dir, engine="eager")
    own = load(tiny_model_dir)
    prompts = [policy.render("2+2?"), policy.render("x")]
    assert "transformers' own forward" in policy.engine_reason
    theirs, ours = policy.greedy(prompts, 4), own.greedy(prompts, 4)
    assert [s.token_ids for s in theirs] == [s.token_ids for s in ours]


def test_an_engine_that_cannot_work_here_is_refused_by_its_name(tiny_model_dir):
    with pytest.raises(ConfigError, match=r"engine vllm .*device is cpu"):
        load(tiny_model_dir, engine="vllm")


def test_the_swarms_token_limit_can_be_lowered_but_not_raised(tiny_model_dir):
    assert load(tiny_model_dir, 8, max_new_tokens=4).max_new_tokens == 4
    assert load(tiny_model_dir, 8, max_new_tokens=400).max_new_tokens == 8


def test_a_name_that_is_nothing_lists_what_there_is():
    with pytest.raises(ModelError, match=r"embedded-visual, smollm2-135m, a directory.*hub id"):
        load("gpt-17")


def test_a_name_that_neither_the_disk_nor_the_hub_could_know_is_a_model_error():
    with pytest.raises(ModelError, match=r"File name too long; use embedded"):
        load("a" * 5000)
    with pytest.raises(ModelError, match=r"a/b--c is neither a directory nor the name of a hub model"):
        load("a/b--c")


def test_a_hub_that_cannot_be_reached_is_said_with_the_remedy(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        assert kwargs["timeout"] <= 10
        raise OfflineModeIsEnabled("no network here")

    monkeypatch.setattr(hub_module.HfApi, "model_info", offline)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"hub cannot be reached.*no network here.*--model embedded"):
        load("nobody/nothing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json is missing"),
        ("model.safetensors", "no \\*.safetensors"),
        ("tokenizer.json", "no tokenizer"),
    ],
)
def test_a_missing_file_is_named(copied, name, message):
    (copied / name).unlink()
    with pytest.raises(ModelError, match=message):
        load(copied)


def test_damaged_weights_are_a_model_error(copied):
    (copied / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match="does not work here"):
        load(copied)


def test_missing_weights_are_not_replaced_by_random_ones(copied):
    config = json.loads((copied / "config.json").read_text())
    config["num_hidden_layers"] = 3
    config["layer_types"] = ["full_attention"] * 3
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"lacks \d+ weights"):
        load(copied)


def test_a_context_too_short_for_any_question_is_said_with_its_length(copied):
    (copied / "config.json").write_text(
        json.dumps({**json.loads((copied / "config.json").read_text()), "max_position_embeddings": 16})
    )
    with pytest.raises(PromptTooLongError, match=r"^the prompt has \d+ tokens, but a context of 16 has room"):
        load(copied)


def test_an_unknown_architecture_is_a_model_error(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "model_type": "frobnicator"}))
    with pytest.raises(ModelError, match="does not work here"):
        load(copied)


def test_smollm2_without_its_package_gives_the_command(monkeypatch):
    monkeypatch.setattr("swarmd.model.smollm2.gguf_path", lambda: None)
    with pytest.raises(ModelError, match="pip install"):
        load("smollm2-135m")


def test_lora_trains_the_adapter_only_and_starts_as_the_base_model(make_policy):
    base, adapted = make_policy(), make_policy(lora_rank=4)
    prompts = [base.render("1+1?")]
    [by_base], [by_adapted] = base.greedy(prompts), adapted.greedy(prompts)
    assert by_adapted.token_ids == by_base.token_ids
    assert by_adapted.logprobs == pytest.approx(by_base.logprobs, abs=1e-5)
    assert adapted.family == base.family
    assert all("lora_" in name for name, _ in adapted.trainable_parameters())
    targets = {name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in adapted.trainable_parameters()}
    assert targets == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_trainable_state_restores_the_policy_and_is_a_copy(make_policy, lora_rank):
    policy = make_policy(lora_rank=lora_rank)
    prompts = [policy.render("1+1?")]
    before = policy.greedy(prompts)
    state = policy.trainable_state()
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter.normal_()
    assert policy.greedy(prompts) != before
    policy.load_trainable_state(state)
    assert policy.greedy(prompts) == before


def test_the_state_of_another_model_is_refused_and_changes_nothing(make_policy):
    policy, adapted = make_policy(), make_policy(lora_rank=4)
    before = policy.trainable_state()
    with pytest.raises(ModelError, match="another model"):
        policy.load_trainable_state(adapted.trainable_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.trainable_state().items())


# --- tokenizer -------------------------------------------------------------------------------------


def test_a_prompt_follows_the_chat_template_and_ends_where_the_answer_starts(make_policy):
    policy = make_policy()
    text = policy.tokenizer.hf.decode(policy.render("1+1?"))
    assert text.count("<|im_start|>") == 3
    assert "u1+1?<|im_end|>" in text
    assert text.endswith("<|im_start|>a")


def test_without_a_template_the_prompt_is_plain_text(tiny_model_dir):
    hf = AutoTokenizer.from_pretrained(tiny_model_dir)
    hf.chat_template = None
    text = hf.decode(ChatTokenizer(hf).render("1+1?"))
    assert text.endswith("\n\n1+1?\n\n")


def test_a_template_that_refuses_system_messages_gets_one_user_message(tiny_model_dir):
    hf = AutoTokenizer.from_pretrained(tiny_model_dir)
    hf.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    )
    text = hf.decode(ChatTokenizer(hf).render("1+1?"))
    assert text.startswith("[user]")
    assert text.endswith("1+1?")


def test_completions_survive_the_way_to_text_and_back(make_policy):
    tokenizer = make_policy().tokenizer
    for text in ("<answer>42</answer>", "é ü 漢字 🙂", "", " leading", "a\n\nb"):
        ids = tokenizer.encode_completion(text, True, 100)
        assert ids[-1] == tokenizer.eos_id
        assert tokenizer.decode_completion(ids) == text
        assert tokenizer.encode_completion(text, False, 100) == ids[:-1]


def test_every_token_of_a_completion_has_its_place_in_the_text(make_policy):
    tokenizer = make_policy().tokenizer
    for _slow in (False, True):
        for text in ("<answer>42</answer>", "", "a\n\nb"):
            found = tokenizer.completion_spans(text, True, 100)
            assert found == (*((n, n + 1) for n in range(len(text))), (len(text), len(text)))
            assert tokenizer.completion_spans(text, True, 5) == found[:5]
            assert tokenizer.completion_spans(text, False, 100) == found[:-1]
        tokenizer.hf = SlowTokenizer(tokenizer.hf)


def test_the_tokens_beyond_the_limit_cost_a_slow_tokenizer_nothing(make_policy):
    tokenizer = make_policy().tokenizer
    tokenizer.hf = slow = SlowTokenizer(tokenizer.hf)
    assert len(tokenizer.completion_spans("a" * 10_000, True, 5)) == 5
    assert slow.decoded <= 6, "another peer may have written the text"


def test_a_tokenizer_that_cannot_tell_where_its_tokens_stand_places_none(make_policy):
    tokenizer = make_policy().tokenizer
    tokenizer.hf = SlowTokenizer(tokenizer.hf)
    halves = tokenizer.completion_spans("é", False, 100)  # each of the two bytes alone is no text
    assert halves == ((0, 0), (0, 0))


class SlowTokenizer:
    """A tokenizer that knows no offsets, as those written in Python."""

    is_fast = False

    def __init__(self, fast) -> None:
        self._fast = fast
        self.decoded = 0

    def decode(self, *arguments, **options: bool):
        self.decoded += 1
        return self._fast.decode(*arguments, **options)

    def __call__(self, text: str, **options: bool):
        return self._fast(text, **options)


def test_a_long_completion_is_cut_and_a_cut_one_has_no_end_token(make_policy):
    policy = make_policy(max_new_tokens=5)
    assert policy.encode_completion("abcd", True)[-1] == policy.tokenizer.eos_id
    assert policy.encode_completion("abcdefgh", True) == policy.encode_completion("abcde", False)


def test_control_tokens_in_someone_elses_text_stay_text(make_policy):
    tokenizer = make_policy().tokenizer
    ids = tokenizer.encode_completion("1<|im_end|><|im_start|>", False, 100)
    assert not set(ids) & set(tokenizer.hf.all_special_ids)


def test_no_spelling_that_the_tokenizer_normalises_becomes_a_control_token():
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    lower = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    lower.normalizer = normalizers.Lowercase()
    lower.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    lower.decoder = decoders.ByteLevel()
    lower.add_tokens([AddedToken("<|im_start|>", special=False), AddedToken("<|im_end|>", special=False)])
    template = "{% for m in messages %}<|im_start|>{{ m['role'][0] }}{{ m['content'] }}<|im_end|>{% endfor %}"
    tokenizer = ChatTokenizer(PreTrainedTokenizerFast(tokenizer_object=lower, chat_template=template))
    end, spelled = tokenizer.eos_id, "5<|IM_END|>6<|im_end|>"
    ids = tokenizer.encode_completion(spelled, True, 100)
    assert ids.count(end) == 1
    assert ids[-1] == end
    assert tokenizer.decode_completion(ids) == "56<|im_end|>"
    spans = tokenizer.completion_spans(spelled, True, 100)
    assert [spelled[start:after].lower() for start, after in spans] == [*"56<|im_end|>", ""]
    asked, answered = {"role": "user", "content": "?"}, {"role": "user", "content": spelled}
    assert tokenizer.prompt([answered]).count(end) == tokenizer.prompt([asked]).count(end)
    turns = [tokenizer.render("?", (), [Exchange(text, text)]) for text in ("5", spelled)]
    assert turns[0].count(end) == turns[1].count(end) > 1


def test_a_tokenizer_without_an_end_token_is_refused(tiny_model_dir):
    hf = AutoTokenizer.from_pretrained(tiny_model_dir)
    hf.eos_token = hf.chat_template = None
    with pytest.raises(ModelError, match="end-of-sequence"):
        ChatTokenizer(hf)


def test_the_fingerprint_tells_tokenizers_apart_and_nothing_else(tiny_model_dir):
    one, same, other = (AutoTokenizer.from_pretrained(tiny_model_dir) for _ in range(3))
    same.chat_template = None
    same.padding_side = "left"
    other.add_tokens(["<answer>"])
    assert tokenizer_fingerprint(one) == tokenizer_fingerprint(same)
    assert tokenizer_fingerprint(one) != tokenizer_fingerprint(other)


@pytest.mark.parametrize("suffix", ["weight_scale", "SCB"])
def test_weights_packed_in_a_way_that_nobody_unpacks_are_refused(copied, suffix):
    path = copied / "model.safetensors"
    tensors = load_file(path)
    tensors[f"model.layers.0.self_attn.q_proj.{suffix}"] = torch.ones(1)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"quantised in an unknown way .*q_proj\.{suffix}"):
        load(copied)


@pytest.mark.parametrize("is_sharded", [False, True])
def test_weights_stored_as_integers_are_refused_and_not_converted(copied, is_sharded):
    path = copied / "model.safetensors"
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors = {"model.position_ids": torch.arange(4), **load_file(path)}
    tensors[name] = tensors[name].mul(100).to(torch.int8)
    if is_sharded:
        path.unlink()
        path = copied / "model-00001-of-00001.safetensors"
        index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, path.name)}
        (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"quantised in an unknown way \({name} is packed\)"):
        load(copied)


def test_integers_that_are_no_weights_are_ignored(copied):
    path = copied / "model.safetensors"
    tensors = {**load_file(path), "model.position_ids": torch.arange(4)}
    save_file(tensors, path, metadata={"format": "pt"})
    assert load(copied)


def add_layer(folder, number, **changes):
    """A further layer in the weights, and `changes` in the configuration."""
    weights, configuration = folder / "model.safetensors", folder / "config.json"
    tensors = load_file(weights)
    for name, tensor in list(tensors.items()):
        if ".layers.1." in name:
            tensors[name.replace(".layers.1.", f".layers.{number}.")] = tensor.clone()
    save_file(tensors, weights, metadata={"format": "pt"})
    configuration.write_text(json.dumps({**json.loads(configuration.read_text()), **changes}))


def test_layers_that_the_configuration_does_not_have_are_not_dropped(copied):
    add_layer(copied, 2)
    with pytest.raises(ModelError, match=r"has model\.layers\.2\.\S+, but its config\.json has only 2 of"):
        load(copied)


def test_a_layer_that_predicts_a_further_token_may_be_left_over(copied, monkeypatch):
    add_layer(copied, 2, num_nextn_predict_layers=1)
    assert load(copied)
    add_layer(copied, 3)
    with pytest.raises(ModelError, match=r"has model\.layers\.3\."):
        load(copied)
    monkeypatch.setattr(Qwen2ForCausalLM, "_keys_to_ignore_on_load_unexpected", [r"model\.layers\.3\."])
    assert load(copied)


def test_an_adapter_beside_a_model_is_refused_and_not_added_unasked(copied):
    (copied / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(
        ModelError, match=r"contains a model and an adapter: move adapter_config.json .*directory"
    ):
        load(copied)


def test_a_model_that_samples_with_other_probabilities_than_it_computes_is_refused(
    monkeypatch, tiny_model_dir
):
    generate = Policy.generate

    def otherwise(self, *given, **more):
        groups = generate(self, *given, **more)
        return [[replace(s, logprobs=tuple(p - 1 for p in s.logprobs)) for s in group] for group in groups]

    monkeypatch.setattr(Policy, "generate", otherwise)
    with pytest.raises(ModelError, match="samples tokens with different probabilities"):
        load(tiny_model_dir)
