"""An adapter that peft saved is a start: the policy's first logits are peft's own, or there is a clear no."""

import json
import shutil
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.probe import HardwareProbe
from swarmd.logprobs import TokenRow
from swarmd.model import Base, locate
from swarmd.policy import load_policy, prepare_plan
from tests.conftest import tiny_model

STEP = Workload(own_groups=2, external_groups=0, group_size=2, new_tokens=8)
MACHINE = HardwareProbe((), 1, 0.0, False, None, free_bytes=8 * 2**30, held_bytes=2**28)
ROW = TokenRow((5, 9, 70, 8), (33, 12, 90))
SMALL = {"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "v_proj"]}
KINDS = {
    "two modules": SMALL,
    "rsLoRA": {**SMALL, "use_rslora": True},
    "ranks by module": {**SMALL, "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"v_proj": 9}},
    "some layers": {"r": 2, "lora_alpha": 2, "target_modules": ["q_proj"], "layers_to_transform": [1]},
}


@pytest.fixture
def saved(tiny_model_dir, tmp_path):
    """saved(**settings): the directory of a random adapter of the tiny model, as peft saves it."""

    def save(**settings):
        torch.manual_seed(1)
        adapted = get_peft_model(tiny_model(), LoraConfig(task_type="CAUSAL_LM", **settings))
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.3)
        adapted.save_pretrained(tmp_path / "adapter")
        rewrite(tmp_path / "adapter", base_model_name_or_path=str(tiny_model_dir))
        return tmp_path / "adapter"

    return save


def rewrite(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def start(tmp_path):
    """start(directory, **wishes): plan and policy, as a peer makes them."""

    def start(directory, **wishes):
        config = PolicyConfig(model=str(directory), device="cpu", threads=1, dtype="float32", **wishes)
        plan = prepare_plan(config, STEP, rates_cache=tmp_path / "rates.json", probe=MACHINE).plan
        return plan, load_policy(config, plan, max_new_tokens=8)

    return start


@pytest.mark.parametrize("kind", KINDS)
def test_its_first_logits_are_those_of_peft(saved, start, kind):
    folder = saved(**KINDS[kind])
    plan, policy = start(folder)
    assert (plan.lora.rank, plan.lora.alpha) == (KINDS[kind]["r"], KINDS[kind]["lora_alpha"])
    reference = PeftModel.from_pretrained(tiny_model(), folder)
    ids = torch.tensor([ROW.prompt_ids + ROW.completion_ids])
    with torch.no_grad():
        logits = reference(input_ids=ids).logits
        found = policy.model(input_ids=ids).logits
        scored = policy.logprobs([ROW])[0][0]
        base = tiny_model()(input_ids=ids).logits
    torch.testing.assert_close(found, logits)
    assert (found - base).abs().max() > 0.1
    targets = torch.tensor(ROW.completion_ids)[:, None]
    expected = logits[0, 3:6].log_softmax(-1).gather(-1, targets)[:, 0]
    torch.testing.assert_close(scored, expected, atol=1e-4, rtol=0)


def test_the_reference_of_a_kl_penalty_is_the_adapter_that_training_started_from(saved, start):
    _, policy = start(saved(**SMALL))
    policy.freeze_reference()
    first = policy.logprobs([ROW])[0].detach()
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter.add_(0.1)
    moved = policy.logprobs([ROW])[0].detach()
    torch.testing.assert_close(policy.reference_logprobs([ROW]), first)
    torch.testing.assert_close(policy.logprobs([ROW])[0].detach(), moved)
    assert (moved - first).abs().max() > 1e-3


def test_asking_the_reference_between_the_passes_changes_no_gradient(saved, start):
    _, policy = start(saved(**SMALL))
    policy.freeze_reference()
    parameters = [parameter for _, parameter in policy.trainable_parameters()]
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.1)
    gradients = []
    for asked in (False, True):
        logprobs = policy.logprobs([ROW])[0]
        if asked:
            policy.reference_logprobs([ROW])
        gradients.append(torch.autograd.grad(logprobs.sum(), parameters))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_adapter_alone_is_trained_and_the_plan_says_where_it_is_from(saved, start, tiny_model_dir):
    folder = saved(**SMALL)
    plan, policy = start(folder)
    assert {name.split(".")[-3] for name, _ in policy.trainable_parameters()} == {"lora_A", "lora_B"}
    assert any(f"adapter in {folder}, on {tiny_model_dir}" in reason for reason in plan.reasons)
    assert any("adapters are on q_proj, v_proj" in reason for reason in policy.reasons)
    assert policy.family == "qwen2-27K"


def test_nothing_is_warned_about_that_only_we_can_mend(saved, start):
    folder = saved(**SMALL)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        start(folder)
    assert [str(warning.message) for warning in told] == []


@pytest.mark.parametrize("wishes", [{"lora_rank": 4}, {"lora_rank": 4, "lora_alpha": 12}])
def test_the_numbers_that_it_has_may_be_asked_for(saved, start, wishes):
    assert start(saved(**SMALL), **wishes)[0].lora.alpha == 12


@pytest.mark.parametrize("wishes", [{"lora_rank": 8}, {"lora_rank": 4, "lora_alpha": 8}])
def test_other_numbers_are_refused_with_those_that_it_has(saved, start, wishes):
    with pytest.raises(ConfigError, match=r"--lora r=.* has r=4,alpha=12: remove --lora"):
        start(saved(**SMALL), **wishes)


def test_the_base_may_be_named_relative_to_the_adapter(saved, start, tiny_model_dir, tmp_path):
    folder = saved(**SMALL)
    shutil.copytree(tiny_model_dir, tmp_path / "base")
    rewrite(folder, base_model_name_or_path="../base")
    assert locate(str(folder)).base == str(tmp_path / "base")
    assert start(folder)[1]


@pytest.mark.parametrize(("revision", "commit"), [("a" * 40, "a" * 40), ("main", "b" * 40), (None, "b" * 40)])
def test_a_base_on_the_hub_is_read_at_the_revision_of_the_adapter(
    saved, start, tiny_model_dir, cache_snapshot, revision, commit
):
    snapshots = {each: cache_snapshot(tiny_model_dir, each) for each in ("a" * 40, "b" * 40)}
    folder = saved(**SMALL)
    rewrite(folder, base_model_name_or_path="owner/name", revision=revision)
    assert locate(str(folder)).folder == snapshots[commit]
    assert start(folder)[1]


def test_a_base_in_a_directory_has_no_revision(saved, start, tiny_model_dir):
    folder = saved(**SMALL)
    rewrite(folder, revision="main")
    assert locate(str(folder)).folder == tiny_model_dir
    assert start(folder)[1]


def test_a_tokenizer_that_was_saved_with_it_is_used(saved, start, tiny_model_dir):
    folder = saved(**SMALL)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny_model_dir / name, folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>a", "<|im_start|>b"))
    policy = start(folder)[1]
    assert policy.tokenizer.hf.decode(policy.render("?")).endswith("<|im_start|>b")


# --- what is refused ---------------------------------------------------------------------------------


def test_a_base_that_is_not_there_is_named_with_the_adapter(saved, start, tmp_path):
    folder = saved(**SMALL)
    rewrite(folder, base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(
        ModelError, match=rf"adapter in {folder} belongs to the base '{tmp_path}/gone'.*not found"
    ):
        start(folder)


def test_an_adapter_on_an_adapter_is_refused(saved, start):
    folder = saved(**SMALL)
    rewrite(folder, base_model_name_or_path=".")
    with pytest.raises(ModelError, match=r"belongs to another adapter.*merge_and_unload"):
        start(folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"use_dora": True}, "'use_dora' is not supported"),
        ({"modules_to_save": ["lm_head"]}, "'modules_to_save' is not supported"),
        ({"bias": "all"}, "'bias' is not supported"),
        ({"of_another_release": [1]}, "'of_another_release' is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: .*pissa"),
        ({"revision": "../../elsewhere"}, "revision: "),
        ({"r": 0}, r"r: .*\(got '0'\)"),
        ({"r": 10**9}, "r: "),
        ({"lora_alpha": None}, "lora_alpha: "),
        ({"base_model_name_or_path": None}, "base_model_name_or_path: "),
    ],
)
def test_what_would_give_other_logits_is_refused_by_name(saved, start, changes, why):
    folder = saved(**SMALL)
    rewrite(folder, **changes)
    with pytest.raises(ModelError, match=rf"^the adapter in [^\n]* cannot be trained: {why}[^\n]*$"):
        start(folder)


def test_another_kind_of_adapter_is_refused(start, tmp_path, tiny_model_dir):
    prefix = get_peft_model(tiny_model(), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    prefix.save_pretrained(tmp_path / "prefix")
    rewrite(tmp_path / "prefix", base_model_name_or_path=str(tiny_model_dir))
    with pytest.raises(ModelError, match=r"cannot be trained: peft_type: .*PREFIX_TUNING.*merge_and_unload"):
        start(tmp_path / "prefix")


@pytest.mark.parametrize("text", ["{", "[]", "7", ""])
def test_a_damaged_configuration_is_refused(saved, start, text):
    folder = saved(**SMALL)
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"^the adapter in [^\n]* cannot be trained: adapter_config\.json"):
        start(folder)


def test_an_adapter_without_weights_or_of_another_base_is_refused(saved, start, tiny_model_dir):
    folder = saved(**SMALL)
    rewrite(folder, target_modules=["q_proj", "k_proj"])
    with pytest.raises(ModelError, match=rf"adapter in {folder} does not fit its base .*such as .*k_proj"):
        start(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        start(folder)


# --- what a checkpoint says of it ----------------------------------------------------------------------


def test_a_checkpoint_names_base_and_adapter(saved, tiny_model_dir):
    folder = saved(**SMALL)
    state = Base.of(locate(str(folder))).to_state()
    assert state["model"] == str(tiny_model_dir)
    assert state["files"] == Base.of(locate(str(tiny_model_dir))).files
    assert state["adapter"]["folder"] == str(folder)
    assert state["adapter"]["settings"]["target_modules"] == ["q_proj", "v_proj"]
    assert json.loads(json.dumps(state)) == state


def test_an_adapter_with_other_settings_is_not_gone_on_with(saved):
    folder = saved(**SMALL)
    state = json.loads(json.dumps(Base.of(locate(str(folder))).to_state()))
    Base.of(locate(str(folder))).require_same(state, "c")
    rewrite(folder, target_modules=["v_proj", "q_proj"])  # in another order
    Base.of(locate(str(folder))).require_same(state, "c")
    rewrite(folder, use_rslora=True)
    with pytest.raises(
        ModelError, match=rf"started with the adapter in {folder}, which had different settings"
    ):
        Base.of(locate(str(folder))).require_same(state, "c")
