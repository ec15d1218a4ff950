"""A home is the same learner at the next start: its newest whole checkpoint, its model, its adapter."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.architectures import write_tiny
from protocol import Manifest
from swarmd.config import Config, LearningConfig, PolicyConfig, StorageConfig
from swarmd.daemon.learner import Learner, load_learner
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.plan import LoraPlan
from swarmd.hardware.shortage import Shortage
from swarmd.images import Image
from swarmd.policy import prepare_plan
from swarmd.storage import Home
from swarmd.tasks import load_manifest
from tests.conftest import byte_tokenizer, tiny_model
from tests.daemon.fakes import external_group
from tests.gossip.making import make_manifest

MANIFEST = make_manifest()


@pytest.fixture
def load(home: Home, tiny_model_dir: Path):
    """load(**policy): the home's learner; of the tiny model, or of the one it was, if `model` is None."""

    def start(peer_id: str = "peer", seed: int = 0, manifest: Manifest = MANIFEST, **policy: Any) -> Learner:
        given = {"model": str(tiny_model_dir), "device": "cpu"} | policy
        config = Config(
            home=home.path,
            seed=seed,
            policy=PolicyConfig(**{key: value for key, value in given.items() if value is not None}),
            learning=LearningConfig(warmup_steps=0, learning_rate=0.01),
            storage=StorageConfig(checkpoints_kept=3),
        )
        return load_learner(config, home, manifest, peer_id)

    return start


def take_step(learner: Learner, number: int) -> None:
    learner.trainer.step([], [external_group(number, publisher="other")])
    learner.progress.step += 1
    learner.save()


def same(left: Learner, right: Learner) -> bool:
    ours, theirs = left.policy.trainable_state(), right.policy.trainable_state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_new_home_begins_at_step_0_with_the_model_as_it_is(load):
    learner = load()
    assert (learner.progress.step, learner.resumed_step, learner.problems) == (0, None, ())
    assert learner.plan.device == "cpu"
    assert learner.policy.engine_reason in learner.plan.reasons, "what generates is said at the start"
    assert learner.policy.max_new_tokens == MANIFEST.max_new_tokens


def test_peers_with_the_same_seed_sample_differently_and_one_peer_always_the_same(load):
    draws = [
        torch.rand(3, generator=load(*who).progress.sampling_rng).tolist()
        for who in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    ]
    assert draws[0] == draws[1]
    assert draws[0] not in draws[2:]


def test_it_goes_on_from_the_newest_checkpoint(load):
    first = load()
    take_step(first, 1)
    take_step(first, 2)
    again = load()
    assert (again.resumed_step, again.progress.step, again.trainer.steps) == (2, 2, 2)
    assert same(again, first)
    assert again.problems == ()


def test_past_a_corrupt_checkpoint_it_goes_on_from_the_one_before_and_says_so(load, home):
    first = load()
    take_step(first, 1)
    before = load()
    take_step(first, 2)
    newest = max(home.checkpoints_path.iterdir())
    (newest / "weights.safetensors").write_bytes(b"gone")
    again = load()
    assert again.resumed_step == 1
    assert same(again, before)
    damaged, behind = again.problems
    aside = newest.with_name(f"damaged-{newest.name}")
    assert f"checkpoint {newest} is damaged: weights.safetensors has 4 bytes" in damaged
    assert f"kept as {aside} until you remove it" in damaged
    assert "step 2 is lost and trained again" in behind
    assert aside.is_dir()
    assert load().problems == (), "told once"


def test_the_model_and_adapter_it_was_trained_with_need_not_be_named_again(load):
    first = load(lora_rank=4, lora_alpha=4)
    take_step(first, 1)
    again = load(model=None)
    assert again.plan.model == first.plan.model
    assert again.plan.lora == first.plan.lora
    assert same(again, first)
    assert again.resumed_step == 1


def test_another_adapter_than_it_was_trained_with_is_refused(load):
    take_step(load(lora_rank=4), 1)
    with pytest.raises((ConfigError, ModelError), match=r"(?i)lora"):
        load(lora_rank=8)
    with pytest.raises(ConfigError, match="trained with alpha=8, but alpha=16 was requested"):
        load(lora_rank=4, lora_alpha=16)
    assert load(lora_rank=4, lora_alpha=8).resumed_step == 1


def test_another_model_than_it_was_trained_with_is_refused_with_the_remedy(load):
    take_step(load(), 1)
    with pytest.raises(ConfigError, match="--model"):
        load(model="embedded")


def test_what_memory_did_not_suffice_for_is_known_at_the_next_start(load):
    first = load()
    before = first.plan.budgets.train_tokens
    smaller = first.policy.budgets.short("train_tokens", before, Shortage("out of memory"))
    assert load().plan.budgets.train_tokens == smaller < before


def test_an_adapter_that_the_plan_chose_is_kept_when_there_is_more_memory(load, monkeypatch):
    roomy = load().plan.predicted_peak_bytes
    rank = LoraPlan(16, 32)

    def with_adapter(config, work, **files):
        prepared = prepare_plan(config, work, **files)
        is_open = "lora_rank" not in config.model_fields_set
        return dataclasses.replace(
            prepared, plan=dataclasses.replace(prepared.plan, lora=rank if is_open else prepared.plan.lora)
        )

    monkeypatch.setattr("swarmd.daemon.learner.prepare_plan", with_adapter)
    first = load()
    take_step(first, 1)
    monkeypatch.undo()
    again = load(model=None)
    assert again.plan.memory_limit_bytes > roomy, "all weights would fit now"
    assert again.plan.lora == rank
    assert (again.resumed_step, same(again, first)) == (1, True)


def test_a_limit_that_the_model_cannot_keep_is_refused_before_loading(load):
    with pytest.raises(ModelError, match=r"0\.05 GiB may be used.*--memory-limit"):
        load(memory_limit="50MiB")


@pytest.fixture
def copied(tiny_model_dir, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "models" / "mine"))


def other_weights(directory: Path) -> None:
    """Replace the model's weights by those of another of the same sizes."""
    tiny_model(seed=1).save_pretrained(directory)


def test_an_adapter_is_not_put_on_a_base_whose_weights_were_replaced(load, copied):
    take_step(load(model=str(copied), lora_rank=4), 1)
    assert load(model=str(copied), lora_rank=4).resumed_step == 1
    other_weights(copied)
    with pytest.raises(
        ModelError, match=r"trained on .*mine \(files .*the loaded model is .*--model.*--home"
    ):
        load(model=str(copied), lora_rank=4)


def test_the_same_base_in_another_place_will_do(load, copied, tiny_model_dir):
    take_step(load(model=str(copied), lora_rank=4), 1)
    assert load(model=str(tiny_model_dir), lora_rank=4).resumed_step == 1


def test_where_all_weights_are_saved_those_of_the_base_do_not_matter(load, copied):
    take_step(load(model=str(copied)), 1)
    other_weights(copied)
    assert load(model=str(copied)).resumed_step == 1


def test_another_tokenizer_than_it_was_trained_with_is_refused(load, copied):
    take_step(load(model=str(copied)), 1)
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = "<|im_start|>"
    tokenizer.save_pretrained(copied)
    written = json.loads((copied / "tokenizer.json").read_text())
    vocabulary = written["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (copied / "tokenizer.json").write_text(json.dumps(written))
    with pytest.raises(ConfigError, match="a different tokenizer"):
        load(model=str(copied))


def test_a_relative_model_is_found_again_from_any_directory(load, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(copied.parent)
    take_step(load(model="./mine", lora_rank=4), 1)
    monkeypatch.chdir(tmp_path)
    assert load(model=None).resumed_step == 1
    assert load(model="./mine").resumed_step == 1
    assert load(model="mine").plan.model == str(copied)


def test_a_checkpoint_of_an_earlier_version_names_no_base_and_loads(load, copied):
    first = load(model=str(copied), lora_rank=4)
    take_step(dataclasses.replace(first, base=None), 1)
    other_weights(copied)
    assert load(model=str(copied), lora_rank=4).resumed_step == 1


@pytest.mark.parametrize(("architecture", "lora_rank"), [("qwen3_vl", 4), ("smolvlm", None)])
def test_vision_models_train_on_images_are_saved_and_go_on(load, tmp_path, architecture, lora_rank):
    assert write_tiny(architecture, tmp_path / architecture) is None
    first = load(model=str(tmp_path / architecture), lora_rank=lora_rank)
    before = first.policy.trainable_state()
    group = dataclasses.replace(external_group(1, publisher="other"), images=(Image(2, 1, bytes(range(6))),))
    first.trainer.step([], [group])
    first.progress.step += 1
    first.save()
    after = first.policy.trainable_state()
    tower = [name for name in before if "vision_model" in name or "visual" in name]
    assert any(not torch.equal(before[name], after[name]) for name in tower)
    again = load(model=str(tmp_path / architecture), lora_rank=lora_rank)
    assert again.resumed_step == 1
    assert same(again, first)


def test_a_text_model_that_also_sees_needs_nothing_for_images_in_a_swarm_without(load, tmp_path, monkeypatch):
    folder = tmp_path / "gemma3"
    assert write_tiny("gemma3", folder) is None
    for path in folder.glob("*processor_config.json"):
        path.unlink()
    monkeypatch.setattr("swarmd.model.sight.see", lambda *_: pytest.fail("the tower ran"))
    first = load(model=str(folder), manifest=load_manifest("starter"))
    take_step(first, 1)
    again = load(model=str(folder), manifest=load_manifest("starter"))
    assert again.resumed_step == 1
    assert same(again, first)


@pytest.mark.parametrize("lora_rank", [None, 4])
@pytest.mark.parametrize("architecture", ["gemma3_text", "gpt2", "jamba", "mixtral", "qwen3_next"])
def test_other_architectures_train_are_saved_and_go_on(load, tmp_path, architecture, lora_rank):
    assert write_tiny(architecture, tmp_path / architecture) is None
    first = load(model=str(tmp_path / architecture), lora_rank=lora_rank)
    before = first.policy.trainable_state()
    take_step(first, 1)
    take_step(first, 2)
    after = first.policy.trainable_state()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    again = load(model=str(tmp_path / architecture), lora_rank=lora_rank)
    assert again.resumed_step == 2
    assert same(again, first)
