"""Each type of vision model is shown images as transformers shows them, and trains on what it saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.tiny_visual import RECIPES, write_tiny_visual
from swarmd.adapted import without_adapters
from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.images import Image
from swarmd.logprobs import TokenRow
from swarmd.model.sight import Sight
from swarmd.model.sight_kinds import KINDS
from swarmd.policy import Policy, load_policy

RED = Image(8, 8, bytes((255, 0, 0)) * 64)
SPLIT = Image(2, 2, bytes((0, 0, 255)) * 2 + bytes((255, 255, 0)) * 2)
WIDE = Image(12, 4, bytes((0, 255, 0)) * 24 + bytes((255, 0, 255)) * 24)
SMOL = ":<fake_token_around_image><global-img>{image}<fake_token_around_image>What?"
QWEN = "<|vision_start|>{image}<|vision_end|>What?"
WRITTEN = {
    "gemma3": "<start_of_image>{image}<end_of_image>\n\nWhat?",
    "idefics3": SMOL,
    "internvl": "<img>{image}</img>\nWhat?",
    "llava": "{image}\nWhat?",
    "llava_onevision": " {image}\nWhat?",
    "qwen2_5_vl": QWEN,
    "qwen2_vl": QWEN,
    "qwen3_5": QWEN,
    "qwen3_vl": QWEN,
    "smolvlm": SMOL,
}
"""A question with an image, as the processors of the published models write it; {image} stands for the image
tokens."""


def load(folder: Path, lora: LoraPlan | None = None) -> Policy:
    plan = HardwarePlan(str(folder), "cpu", "float32", 1, lora, ())
    return load_policy(PolicyConfig(model=str(folder)), plan, max_new_tokens=6)


@pytest.fixture(scope="module", params=sorted(RECIPES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def policy(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp(kind)
    write_tiny_visual(kind, folder)
    return load(folder)


def sight_of(policy: Policy) -> Sight:
    assert policy.tokenizer.sight is not None
    return policy.tokenizer.sight


def test_every_kind_is_tried() -> None:
    assert set(RECIPES) == set(WRITTEN) == set(KINDS)


def test_an_image_is_written_as_by_the_published_processor(kind: str, policy: Policy) -> None:
    sight = sight_of(policy)
    text: str = policy.tokenizer.hf.decode(policy.render("What?", (), (RED,)))
    count = sight.eye.vectors(RED)
    assert count > 1
    assert WRITTEN[kind].format(image=sight.text * count) in text
    assert text.count(sight.text) == count


def test_it_is_computed_as_by_transformers(policy: Policy) -> None:
    prompt, completion = policy.render("And two?", (), (SPLIT, RED)), (5, 6, 7)
    model: Any = without_adapters(policy.model)
    sight = sight_of(policy)
    ids = torch.tensor([[*prompt, *completion]])
    types = (ids == sight.token).int()
    more = {"token_type_ids": types} if model.config.model_type == "gemma3" else {}
    if "image_grid_thw" in sight.eye.inputs([RED]):
        more = {"mm_token_type_ids": types}
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False, **sight.eye.inputs([SPLIT, RED]), **more).logits
    expected = logits[0, len(prompt) - 1 : -1].log_softmax(-1)[range(3), list(completion)]
    found, _ = policy.logprobs([TokenRow(prompt, completion)])
    torch.testing.assert_close(found[0].detach(), expected, atol=1e-4, rtol=1e-4)
    model.model.rope_deltas = None  # transformers keeps it from its own forward


def test_tokens_are_rated_as_they_were_sampled_whatever_images_share_the_batch(policy: Policy) -> None:
    prompts = [
        policy.render("What is it?", (), (RED,)),
        policy.render("What is it?", (), (SPLIT,)),
        policy.render("A longer question, without any image"),
        policy.render("And two?", (), (WIDE, RED)),
        policy.render("And three?", (), (RED, RED, SPLIT)),
    ]
    groups = policy.generate(prompts, 2, rng=torch.Generator().manual_seed(1))
    rows = [
        TokenRow(prompt, each.token_ids)
        for prompt, group in zip(prompts, groups, strict=True)
        for each in group
    ]
    logprobs, mask = policy.logprobs(rows)
    sampled = torch.tensor([value for group in groups for each in group for value in each.logprobs])
    torch.testing.assert_close(logprobs[mask].detach(), sampled, atol=1e-4, rtol=1e-4)


def test_what_is_seen_changes_what_is_likely_and_the_tower_learns(policy: Policy) -> None:
    rows = [TokenRow(policy.render("What?", (), (image,)), (5, 6)) for image in (RED, SPLIT)]
    logprobs, _ = policy.logprobs(rows)
    assert (logprobs[0] - logprobs[1]).abs().max() > 1e-3
    logprobs.sum().backward()
    first = next(p for name, p in policy.trainable_parameters() if "patch_embed" in name)
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    for _, parameter in policy.trainable_parameters():
        parameter.grad = None


def test_an_image_token_that_a_policy_writes_itself_is_text(policy: Policy) -> None:
    token = sight_of(policy).token
    row = TokenRow(policy.render("What?", (), (RED,)), (5, token, 6, token, 7))
    with torch.no_grad():
        logprobs, _ = policy.logprobs([row])
    engine: Any = policy._engine
    replayed = engine.replay([row.prompt_ids], torch.tensor([row.completion_ids]))
    torch.testing.assert_close(logprobs, replayed, atol=1e-4, rtol=1e-4)
