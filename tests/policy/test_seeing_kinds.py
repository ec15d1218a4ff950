"""Each type of vision model is shown images as transformers shows them, and trains on what it saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Qwen2VLConfig

from benchmarks.tiny_visual import LAYERS, PATCH, RECIPES, SIDE, write_tiny_visual
from swarmd.adapted import without_adapters
from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.arrangement import FLOAT32, IMAGES_EXPECTED, Arrangement, Workload
from swarmd.hardware.budgets import Budgets
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.hardware.probe import HardwareProbe
from swarmd.images import SIDE_MAX, Image
from swarmd.logprobs import TokenRow
from swarmd.logprobs.memory import padded_memory
from swarmd.logprobs.padded import PaddedLogprobs
from swarmd.model import TO_PLAN, locate, on_meta, read_configuration, shape_of
from swarmd.model.eyes import Patches, Scale, Square
from swarmd.model.sight import Sight, read_sight
from swarmd.model.sight_kinds import KINDS
from swarmd.policy import Policy, load_policy, prepare_plan
from tests.policy.rating import assert_rated_as_sampled

RED = Image(8, 8, bytes((255, 0, 0)) * 64)
SPLIT = Image(2, 2, bytes((0, 0, 255)) * 2 + bytes((255, 255, 0)) * 2)
WIDE = Image(12, 4, bytes((0, 255, 0)) * 24 + bytes((255, 0, 255)) * 24)
SMOL = ":<fake_token_around_image><global-img>{image}<fake_token_around_image>What?"
QWEN = "<|vision_start|>{image}<|vision_end|>What?"
WRITTEN = {
    "gemma3": "<start_of_image>{image}<end_of_image>\n\nWhat?",
    "idefics3": SMOL,
    "internvl": "<img>{image}</img>\nWhat?",
    "lfm2_vl": "<|image_start|>{image}<|image_end|>What?",
    "llava": "{image}\nWhat?",
    "llava_onevision": " {image}\nWhat?",
    "qwen2_5_vl": QWEN,
    "qwen2_vl": QWEN,
    "qwen3_vl": QWEN,
    "smolvlm": SMOL,
}
"""A question with an image, as the processors of the published models write it; {image} stands for the image
tokens."""

SHOWN = Workload(own_groups=1, external_groups=0, group_size=4, new_tokens=8)
UNSEEN = replace(SHOWN, images=0)
MACHINE = HardwareProbe((), 1, 0.0, False, None, free_bytes=8 * 2**30, held_bytes=0)


def load(folder: Path, lora: LoraPlan | None = None, *, sees: bool = True) -> Policy:
    plan = HardwarePlan(str(folder), "cpu", "float32", 1, lora, ())
    return load_policy(PolicyConfig(model=str(folder)), plan, max_new_tokens=6, sees=sees)


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
    assert_rated_as_sampled(policy, prompts, 2)


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


def test_recomputed_layers_give_the_same_gradient(policy: Policy) -> None:
    row = TokenRow(policy.render("And two?", (), (SPLIT, RED)), (5, 6))
    found = []
    for recomputed in (False, True):
        engine = PaddedLogprobs(
            policy.model,
            pad_id=policy.tokenizer.pad_id,
            dtype=torch.float32,
            recompute=lambda recomputed=recomputed: recomputed,
            sight=policy.tokenizer.sight,
        )
        engine.logprobs([row], 1.0)[0].sum().backward()
        found.append({name: p.grad for name, p in policy.trainable_parameters() if p.grad is not None})
        for _, parameter in policy.trainable_parameters():
            parameter.grad = None
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name])


def test_an_image_token_that_a_policy_writes_itself_is_text(policy: Policy) -> None:
    token = sight_of(policy).token
    row = TokenRow(policy.render("What?", (), (RED,)), (5, token, 6, token, 7))
    with torch.no_grad():
        logprobs, _ = policy.logprobs([row])
    engine: Any = policy._engine
    replayed = engine.replay([row.prompt_ids], torch.tensor([row.completion_ids]))
    torch.testing.assert_close(logprobs, replayed, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["qwen3_vl", "smolvlm"])
def test_adapters_can_be_trained_instead(kind: str, tmp_path: Path) -> None:
    write_tiny_visual(kind, tmp_path)
    adapted = load(tmp_path, LoraPlan(2, 4))
    prompt = adapted.render("What?", (), (RED, SPLIT))
    [[sample]] = adapted.generate([prompt], 1, rng=torch.Generator().manual_seed(1))
    logprobs, mask = adapted.logprobs([TokenRow(prompt, sample.token_ids)])
    torch.testing.assert_close(logprobs[mask].detach(), torch.tensor(sample.logprobs), atol=1e-4, rtol=1e-4)
    logprobs.sum().backward()
    assert any(
        "vision_model" in name or "visual" in name
        for name, p in adapted.trainable_parameters()
        if p.grad is not None and p.grad.any()
    )


def test_a_folder_may_keep_its_settings_where_processors_of_other_releases_wrote_them(tmp_path: Path) -> None:
    write_tiny_visual("smolvlm", tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    template = (tmp_path / "chat_template.jinja").read_text()
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    found = load(tmp_path)
    assert found.render("What?", (), (RED,)).images == (RED,)
    assert sight_of(found).eye.scale.mean == (0.48, 0.46, 0.41)


@pytest.mark.parametrize("lost", ["preprocessor_config.json", "chat_template.jinja"])
def test_a_text_model_that_also_sees_works_on_text_without_what_images_need(
    lost: str, tmp_path: Path
) -> None:
    write_tiny_visual("gemma3", tmp_path)
    (tmp_path / lost).unlink()
    found = load(tmp_path)
    assert found.tokenizer.sight is None
    assert found.render("What?")


def test_a_text_model_that_also_sees_does_not_run_its_tower_if_no_images_will_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_visual("gemma3", tmp_path)
    monkeypatch.setattr("swarmd.model.sight.see", lambda *_: pytest.fail("the tower ran"))
    assert load(tmp_path, sees=False).tokenizer.sight is None


def test_a_tokenizer_without_the_control_tokens_of_its_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    model = SimpleNamespace(config=SimpleNamespace(model_type="smolvlm", image_token_id=7))
    tokenizer = SimpleNamespace(
        convert_ids_to_tokens=lambda _: "<image>",
        encode=lambda text, **_: [7] if text == "<image>" else [1, 2],
    )
    with pytest.raises(ModelError, match=r"no token for <fake_token_around_image>: use --model embedded"):
        read_sight(model, tokenizer, tmp_path)


def test_patches_of_an_image_that_fits_are_those_of_transformers_processor() -> None:
    pil = pytest.importorskip("PIL.Image")
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    image = Image(84, 56, bytes(number * number % 251 for number in range(84 * 56 * 3)))
    processor: Any = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 10**6})
    expected = processor(pil.frombytes("RGB", (84, 56), image.pixels), return_tensors="pt")
    eye = KINDS["qwen2_vl"].eye(
        Qwen2VLConfig(), {}, Scale(tuple(processor.image_mean), tuple(processor.image_std))
    )
    found = eye.inputs([image])
    assert found["image_grid_thw"].tolist() == expected["image_grid_thw"].tolist() == [[1, 4, 6]]
    torch.testing.assert_close(found["pixel_values"], expected["pixel_values"])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (256, 256), (1, 256), (33, 7)])
def test_small_images_are_enlarged_and_odd_ones_completed_to_whole_patches(width: int, height: int) -> None:
    eye = KINDS["qwen2_vl"].eye(Qwen2VLConfig(), {}, Scale((0.0,) * 3, (1.0,) * 3))
    image = Image(width, height, bytes([255]) * (width * height * 3))
    read = eye.inputs([image])
    [[frames, rows, columns]] = read["image_grid_thw"].tolist()
    assert (frames, rows % 2, columns % 2) == (1, 0, 0)
    assert rows * columns * 14 * 14 >= 56 * 56
    assert eye.vectors(image) == rows * columns // 4
    white = read["pixel_values"]
    assert white.shape == (rows * columns, 3 * 2 * 14 * 14)
    assert set(white.unique().tolist()) <= {0.0, 1.0}
    times = (white.sum() / (3 * 2)).item() / (width * height)
    assert times == int(times**0.5) ** 2, "each pixel is repeated equally often in both directions"


@pytest.mark.parametrize(
    ("kind", "bound"),
    [
        ("qwen2_vl", {"min_pixels": 2 * SIDE_MAX**2}),
        ("qwen3_vl", {"size": {"shortest_edge": 2 * SIDE_MAX**2, "longest_edge": 2**24}}),
        ("lfm2_vl", {"min_image_tokens": 2 * (SIDE_MAX // (2 * PATCH)) ** 2}),
    ],
)
def test_a_plan_counts_images_as_large_as_the_folder_has_them_enlarged(
    kind: str, bound: dict[str, Any], tmp_path: Path
) -> None:
    write_tiny_visual(kind, tmp_path)
    path = tmp_path / "preprocessor_config.json"
    colours = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    config = read_configuration(locate(str(tmp_path), TO_PLAN))
    largest = Image(SIDE_MAX, SIDE_MAX, b"")
    peaks, patches = [], []
    for more in ({}, bound):
        path.write_text(json.dumps({**colours, **more}))
        tower = shape_of(on_meta(config), folder=tmp_path).tower
        eye = KINDS[kind].eye(config, more, Scale((), ()))
        assert isinstance(eye, Patches)
        assert tower is not None
        assert tower.patches == eye.patches(largest)
        patches.append(tower.patches)
        plan = prepare_plan(PolicyConfig(model=str(tmp_path), device="cpu"), SHOWN, probe=MACHINE).plan
        peaks.append(plan.predicted_peak_bytes or 0)
    assert patches[1] == 4 * patches[0], "twice as long on each side"
    assert peaks[1] > peaks[0]


def test_a_bound_beyond_what_images_are_enlarged_to_is_refused_with_the_folder(tmp_path: Path) -> None:
    write_tiny_visual("qwen2_vl", tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "min_pixels": 2**21}))
    with pytest.raises(ModelError) as caught:
        prepare_plan(PolicyConfig(model=str(tmp_path), device="cpu"), SHOWN, probe=MACHINE)
    assert str(caught.value).startswith(f"{tmp_path} does not say which images it reads (images of at least")


@pytest.mark.parametrize(
    ("kind", "bound", "setting"),
    [
        ("qwen2_vl", {"min_pixels": 384**2}, "min_pixels"),
        ("qwen3_vl", {"size": {"shortest_edge": 384**2, "longest_edge": 2**24}}, "size.shortest_edge"),
        ("lfm2_vl", {"min_image_tokens": 2304}, "min_image_tokens"),
    ],
)
def test_an_image_that_is_enlarged_beyond_the_context_is_named_with_the_setting_that_enlarges_it(
    kind: str, bound: dict[str, Any], setting: str, tmp_path: Path
) -> None:
    write_tiny_visual(kind, tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **bound}))
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith("an image of 1 x 1 pixels takes 2304 tokens, but a context of ")
    assert f"lower {setting} in {path}, which has it enlarged, or use a model with a longer" in str(
        caught.value
    )


def test_an_image_that_no_setting_enlarges_asks_for_a_longer_context(tmp_path: Path) -> None:
    write_tiny_visual("llava", tmp_path)
    roomy = load(tmp_path)
    path, text = tmp_path / "config.json", len(roomy.tokenizer.render(""))
    config = json.loads(path.read_text())
    config["text_config"]["max_position_embeddings"] = text + roomy.max_new_tokens + 1
    path.write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=rf"takes 16 tokens, .* prompt of {text + 1}: use a model with a longer"
    ):
        load(tmp_path)


def test_settings_that_no_text_needs_do_not_keep_a_text_model_from_being_planned(tmp_path: Path) -> None:
    write_tiny_visual("gemma3", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0], "image_std": [1]}')
    assert prepare_plan(PolicyConfig(model=str(tmp_path), device="cpu"), UNSEEN, probe=MACHINE).plan


def test_a_plan_counts_the_tower_once_per_image_and_the_rest_per_token(kind: str, policy: Policy) -> None:
    shape = shape_of(on_meta(policy.model.config))
    assert shape.tower is not None
    assert shape.tower.layers == LAYERS
    if isinstance(sight_of(policy).eye, Square):
        assert shape.tower.patches == (SIDE // PATCH) ** 2
    else:
        assert shape.tower.patches >= (SIDE_MAX // PATCH) ** 2, "of the largest image of a task"
    text = shape_of(on_meta(policy.model.config.text_config)) if kind in ("llava", "smolvlm") else shape
    assert (shape.linear_inputs, shape.linear_outputs) == (text.linear_inputs, text.linear_outputs)
    work = SHOWN
    for recomputed in (False, True):
        budgets = Budgets(decode_tokens=1000, train_tokens=1000, gradient_checkpointing=recomputed)
        one_way = Arrangement("cpu", "float32", None, budgets)
        seeing, blind = (padded_memory(each, one_way, work) for each in (shape, replace(shape, tower=None)))
        least = IMAGES_EXPECTED * shape.tower.patches * shape.tower.hidden * FLOAT32
        assert seeing["activations"] - blind["activations"] > least
        assert padded_memory(shape, one_way, replace(work, images=0)) == blind, "nothing is shown"
