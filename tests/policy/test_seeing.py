"""A model that sees: images reach it alike while it samples, is rated and learns; others refuse them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PaliGemmaConfig

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.images import Image, Prompt
from swarmd.logprobs import TokenRow
from swarmd.model.sight import model_class
from swarmd.policy import Policy, load_policy
from swarmd.policy.preparing import prepare_plan
from swarmd.tasks import Example
from tests.policy.rating import assert_rated_as_sampled
from tests.tiny_sight import SIDE, VECTORS, write_tiny_sight

RED = Image(SIDE, SIDE, bytes((255, 0, 0)) * SIDE * SIDE)
SPLIT = Image(2, 2, bytes((0, 0, 255)) * 2 + bytes((255, 255, 0)) * 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sight(tmp_path_factory.mktemp("tiny-sight"))


def load(folder: Path, lora: LoraPlan | None = None, **settings: str) -> Policy:
    plan = HardwarePlan(str(folder), "cpu", "float32", 1, lora, ())
    return load_policy(PolicyConfig(model=str(folder), **settings), plan, max_new_tokens=6)


@pytest.fixture(scope="module")
def policy(folder: Path) -> Policy:
    return load(folder)


def test_a_prompt_holds_a_token_for_each_vector_of_each_image(policy: Policy) -> None:
    sight = policy.tokenizer.sight
    assert sight is not None
    assert sight.eye.vectors(RED) == VECTORS
    prompt = policy.render("What is it?", (), (RED, SPLIT))
    assert prompt.count(sight.token) == 2 * VECTORS
    assert prompt.images == (RED, SPLIT)
    assert policy.render("What is it?").images == ()


def test_examples_show_their_images_before_those_of_the_question(policy: Policy) -> None:
    sight = policy.tokenizer.sight
    assert sight is not None
    plain = policy.render("What is it?", (), (SPLIT,))
    policy.examples = (Example("Which colour?", "red", (), (RED,)), Example("2+2?", "4"))
    try:
        shown = policy.render("What is it?", (), (SPLIT,))
        assert shown.images == (RED, SPLIT)
        assert shown.count(sight.token) == 2 * VECTORS
        assert policy.render("3+3?").images == (RED,)
    finally:
        policy.examples = ()
    assert policy.render("What is it?", (), (SPLIT,)) == plain != shown


def test_tokens_are_rated_as_they_were_sampled_whatever_images_share_the_batch(policy: Policy) -> None:
    prompts = [
        policy.render("What is it?", (), (RED,)),
        policy.render("What is it?", (), (SPLIT,)),
        policy.render("A longer question, without any image"),
        policy.render("And two?", (), (SPLIT, RED)),
    ]
    assert_rated_as_sampled(policy, prompts, 3)


def test_what_is_seen_changes_what_is_likely(policy: Policy) -> None:
    red, split = (policy.render("What is it?", (), (image,)) for image in (RED, SPLIT))
    assert tuple(red) == tuple(split)
    logprobs, _ = policy.logprobs([TokenRow(red, (5, 6)), TokenRow(split, (5, 6)), TokenRow(red, (5, 6))])
    assert (logprobs[0] - logprobs[1]).abs().max() > 1e-3
    torch.testing.assert_close(logprobs[0], logprobs[2])


def test_an_image_token_that_a_policy_writes_itself_is_text(policy: Policy) -> None:
    sight = policy.tokenizer.sight
    assert sight is not None
    row = TokenRow(policy.render("What is it?", (), (RED,)), (5, sight.token, 6))
    logprobs, mask = policy.logprobs([row])
    assert mask.all()
    assert logprobs.isfinite().all()
    assert sight.token not in policy.encode_completion("<image>", finished=True)


def test_the_vision_tower_learns(policy: Policy) -> None:
    logprobs, _ = policy.logprobs([TokenRow(policy.render("What is it?", (), (RED,)), (5, 6))])
    logprobs.sum().backward()
    gradients = {name: p.grad for name, p in policy.trainable_parameters()}
    tower = [grad for name, grad in gradients.items() if "vision_tower.embeddings" in name or "patch" in name]
    assert any(grad is not None and grad.abs().sum() > 0 for grad in tower)
    for _, parameter in policy.trainable_parameters():
        parameter.grad = None


def test_adapters_can_be_trained_instead(folder: Path) -> None:
    adapted = load(folder, LoraPlan(2, 4))
    prompt = adapted.render("What is it?", (), (RED,))
    [[sample]] = adapted.generate([prompt], 1, rng=torch.Generator().manual_seed(1))
    logprobs, mask = adapted.logprobs([TokenRow(prompt, sample.token_ids)])
    torch.testing.assert_close(logprobs[mask].detach(), torch.tensor(sample.logprobs), atol=1e-4, rtol=1e-4)


def test_a_plan_is_made_for_it_without_reading_weights(folder: Path) -> None:
    work = Workload(own_groups=1, external_groups=0, group_size=2, new_tokens=6)
    plan = prepare_plan(PolicyConfig(model=str(folder), device="cpu", dtype="float32"), work).plan
    assert (plan.device, plan.dtype) == ("cpu", "float32")


def test_it_says_why_it_does_not_pack_rows(policy: Policy) -> None:
    assert "its prompts may have images" in policy.logprobs_reason


def test_pixels_are_repeated_and_never_blended(policy: Policy) -> None:
    sight = policy.tokenizer.sight
    assert sight is not None
    [pixels] = sight.eye.inputs([SPLIT])["pixel_values"]
    half = SIDE // 2
    assert pixels[:, :half].unique().tolist() == [-1.0, 1.0]
    assert torch.equal(pixels[2, :half], torch.ones(half, SIDE)), "blue above"
    assert torch.equal(pixels[2, half:], -torch.ones(half, SIDE)), "yellow below"


def test_an_image_larger_than_the_vision_tower_is_named(policy: Policy) -> None:
    with pytest.raises(ModelError, match=r"9 x 9 pixels is larger than the 8 x 8"):
        policy.render("What is it?", (), (Image(9, 9, bytes(243)),))


def test_a_model_that_sees_nothing_says_so_and_names_one_that_does(
    make_policy: Callable[..., Policy],
) -> None:
    text = make_policy()
    with pytest.raises(ModelError, match="sees none: use --model embedded-visual"):
        text.fits("What is it?", (), (RED,))


def test_a_model_that_sees_in_another_way_is_refused_before_its_weights_are_read() -> None:
    with pytest.raises(
        ModelError,
        match=r"images for models of the type paligemma are not supported: use --model embed.* smolvlm$",
    ):
        model_class(PaliGemmaConfig())


def test_vllm_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--engine vllm does not support images here: use --engine auto"):
        load(folder, engine="vllm")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "neither"), ("{}", "neither"), ("[]", "neither"), (1, "1 channels")],
)
def test_a_folder_that_does_not_say_how_images_are_normalised_is_refused(
    folder: Path, tmp_path: Path, content: str | int | None, why: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "preprocessor_config.json"
    if content is None:
        path.unlink()
    else:
        one = json.dumps({"image_mean": [0.5], "image_std": [0.5]})
        path.write_text(one if isinstance(content, int) else content)
    with pytest.raises(ModelError, match=why):
        load(copy)


def test_a_template_that_loses_the_image_is_named(policy: Policy) -> None:
    sight = policy.tokenizer.sight
    assert sight is not None
    with pytest.raises(ModelError, match="<image> 0 times for 1 images"):
        sight.prompt([1, 2, 3], (RED,))
    assert sight.prompt([1, sight.token, 3], (RED,)) == Prompt((1, *[sight.token] * VECTORS, 3), (RED,))
