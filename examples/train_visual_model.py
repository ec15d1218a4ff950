"""Make the embedded vision-language model: 1.8 M parameters, which RL can visibly improve.

    python examples/train_visual_model.py --out swarmd/assets/embedded_visual

It is the embedded model (`train_embedded_model.py`) behind a small vision tower. The tower first learns to
report what is in each cell of a picture, because answers alone carry too few bits to learn to see. Then the
whole model learns the visual swarm's questions, practises those that it can learn, and unlearns part of it,
as the embedded model does. `swarmd eval --tasks visual --model DIR` prints how good it is. Downloads nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from imitation import END, Stage, load, save
from transformers import AutoTokenizer, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig
from visual_items import Item, draw_item, habit

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.images import Image, Prompt
from swarmd.model.sight import Sight, read_sight, see
from swarmd.rollout.seeing import inputs_of
from swarmd.tasks.pictures.canvas import CELL, COLOURS, KINDS, PLACES, SIDE, Thing, picture_of
from swarmd.tasks.pictures.source import DATASETS

IMAGE = "<image>"
THINGS = [Thing(colour, kind) for colour in COLOURS for kind in KINDS]
SEED = 0
READING = Stage(steps=400, batch=64, learning_rate=2e-3)
SUPERVISED = Stage(steps=800, batch=32, learning_rate=1e-3)
PRACTICE = Stage(steps=1100, batch=32, learning_rate=7e-4)
PRACTISED = ("count",) * 4 + ("compare",) * 2 + ("chart",) * 6 + ("maze",) * 4 + ("odd",) * 2 + ("frames",)
"""How often each kind is drawn in the third stage: most often those that are short and can be learned in so
few steps.
"""
DILUTION = Stage(steps=60, batch=32, learning_rate=5e-4, warmup=10)
PART = 8  # rows per pass, sorted by length: a row with four images is three times as long as the others
GOLD_SHARE = 0.42  # share of diluted targets
HABIT_SHARE = 0.9  # of the others; the rest are malformed
PREPROCESSOR = {
    "image_processor_type": "SiglipImageProcessor",
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 0,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

Row = tuple[Prompt, list[int]]
Target = Callable[[str, random.Random], str]


def gold(answer: str, rng: random.Random) -> str:  # noqa: ARG001
    """The target of the first stage."""
    return f"<answer>{answer}</answer>"


def diluted(answer: str, rng: random.Random) -> str:
    """Return a target of the second stage: right with probability `GOLD_SHARE`, else a habit or malformed."""
    if rng.random() < GOLD_SHARE:
        return gold(answer, rng)
    if rng.random() < HABIT_SHARE:
        return gold(habit(answer), rng)
    return rng.choice([answer, f"<answer>{answer}", f"{answer}</answer>", "<answer></answer>"])


def with_image_token(tokenizer: Any) -> Any:
    """Return the embedded model's tokenizer with a token for images added."""
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    return tokenizer


def new_model(text_model: Any, tokenizer: Any) -> LlavaForConditionalGeneration:
    """Return a LLaVA: an untrained vision tower of 2 layers and 16 patches in front of the embedded model.

    The embedded model already writes answers in their tags, so this one only has to learn to see.
    """
    vision = SiglipVisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=CELL,
        vision_use_head=False,
    )
    text_model.resize_token_embeddings(len(tokenizer))
    made = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text_model.config,
            image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
            image_seq_length=(SIDE // CELL) ** 2,
            vision_feature_select_strategy="full",
            vision_feature_layer=-1,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    made.model.language_model.load_state_dict(text_model.model.state_dict())
    return made


def row_of(item: Item, reply: str, tokenizer: Any, sight: Sight) -> Row:
    """Return a question as the daemon asks it, and a reply."""
    chat = [{"role": "user", "content": sight.asked(item.question, item.images)}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return sight.prompt(list(ids), item.images), list(tokenizer(reply + END)["input_ids"])


def answer_loss(model: Any, sight: Sight, rows: list[Row]) -> torch.Tensor:
    """Return the summed cross-entropy of the replies given the prompts."""
    width = max(len(prompt) + len(reply) for prompt, reply in rows) - 1
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    says = torch.zeros(len(rows), width, dtype=torch.bool)  # the positions whose next token is the reply's
    for row, (prompt, reply) in enumerate(rows):
        read = [*prompt, *reply[:-1]]
        ids[row, : len(read)] = torch.tensor(read)
        says[row, len(prompt) - 1 : len(read)] = True
    inputs = inputs_of(model, sight, ids, [prompt for prompt, _ in rows], left_padded=False)
    hidden = model.model(**inputs, use_cache=False).last_hidden_state[says]
    labels = torch.tensor([token for _, reply in rows for token in reply])
    return torch.nn.functional.cross_entropy(model.lm_head(hidden), labels, reduction="sum")


def read_cells(model: Any, sight: Sight, stage: Stage) -> None:
    """Train tower and projector: pixels, shape and colour of a cell must be linearly readable from its
    vector.

    The linear layers that read them are discarded.
    """
    rng = random.Random("cells")
    width = model.config.text_config.hidden_size
    names = torch.nn.Linear(width, 1 + len(THINGS))
    pixels = torch.nn.Linear(width, 3 * CELL * CELL)
    heads = [*names.parameters(), *pixels.parameters()]
    optimiser = torch.optim.AdamW(
        [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters(), *heads]
    )
    started = time.process_time()
    for step in range(stage.steps):
        stage.set_rate(optimiser, step)
        labels = torch.tensor(
            [
                [rng.randrange(1 + len(THINGS)) if rng.random() < 0.6 else 0 for _ in PLACES]
                for _ in range(stage.batch)
            ]
        )
        drawn = [
            picture_of({place: THINGS[label - 1] for place, label in zip(PLACES, row, strict=True) if label})
            for row in labels.tolist()
        ]
        images = [Image(SIDE, SIDE, each.tobytes()) for each in drawn]
        images += [rng.choice(draw_item(rng).images) for _ in range(stage.batch)]
        vectors = torch.stack(see(model, sight, images).vectors)
        found = torch.nn.functional.cross_entropy(
            names(vectors[: stage.batch]).flatten(0, 1), labels.flatten()
        )
        read = sight.eye.inputs(images)["pixel_values"]
        wanted = torch.nn.functional.unfold(read, CELL, stride=CELL).transpose(1, 2)
        told = torch.nn.functional.mse_loss(pixels(vectors), wanted)
        (found + told).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        if step % 25 == 24:
            seconds = time.process_time() - started
            print(
                f"cells {step + 1}/{stage.steps} names {found:.3f} pixels {told:.3f} {seconds:.0f} CPU s",
                flush=True,
            )


def train(
    model: Any,
    tokenizer: Any,
    sight: Sight,
    stage: Stage,
    target: Target,
    name: str,
    keep: Callable[[], None] = lambda: None,
    datasets: Sequence[str] = tuple(DATASETS),
) -> None:
    """Train the model in place for one stage, each step on new questions. `keep` is called now and then."""
    rng = random.Random(name)
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    started = time.process_time()
    for step in range(stage.steps):
        stage.set_rate(optimiser, step)
        items = [draw_item(rng, datasets) for _ in range(stage.batch)]
        rows = [row_of(item, target(item.answer, rng), tokenizer, sight) for item in items]
        rows.sort(key=lambda row: len(row[0]))
        tokens = sum(len(reply) for _, reply in rows)
        total = 0.0
        for start in range(0, stage.batch, PART):
            loss = answer_loss(model, sight, rows[start : start + PART]) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if step % 25 == 24 or step + 1 == stage.steps:
            seconds = time.process_time() - started
            print(f"{name} {step + 1}/{stage.steps} loss {total:.3f} {seconds:.0f} CPU s", flush=True)
            keep()


def save_all(model: Any, tokenizer: Any, out: Path) -> None:
    """Write the model in float16, its tokenizer, and how images are normalised."""
    save(model, tokenizer, out)
    config = json.loads((out / "config.json").read_text())
    config["text_config"].pop("_name_or_path", None)  # its path on the machine that made it
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Make the embedded vision-language model.")
    parser.add_argument("--out", type=Path, required=True, help="save here")
    parser.add_argument("--practise", type=Path, help="start from this model, at the third stage")
    parser.add_argument("--learned", type=Path, help="save what has learned here, every 25 steps")
    parser.add_argument("--dilute", type=Path, help="start from what --learned saved, and only dilute it")
    parser.add_argument("--quick", action="store_true", help="takes seconds: tests the code, no useful model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    reading, supervised, practice, dilution = READING, SUPERVISED, PRACTICE, DILUTION
    if given.quick:
        reading, dilution = Stage(2, 4, 1e-3, 1), Stage(1, 8, 5e-4, 1)
        supervised = practice = Stage(2, 8, 1e-3, 1)
    made = given.dilute or given.practise
    if made:
        model = LlavaForConditionalGeneration.from_pretrained(made, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(made)
    else:
        text_model, tokenizer = load(EMBEDDED_MODEL_DIR)
        model = new_model(text_model, with_image_token(tokenizer))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    save_all(model, tokenizer, given.out)
    sight = read_sight(model, tokenizer, given.out)
    if sight is None:
        raise TypeError("the new model cannot process images")

    def keep() -> None:
        if given.learned:
            save_all(deepcopy(model), tokenizer, given.learned)

    if not made:
        read_cells(model, sight, reading)
        train(model, tokenizer, sight, supervised, gold, "supervised", keep)
    if not given.dilute:
        train(model, tokenizer, sight, practice, gold, "practice", keep, PRACTISED)
        model.half().float()  # as it is saved: --dilute gives the same
    train(model, tokenizer, sight, dilution, diluted, "dilution")
    save_all(model, tokenizer, given.out)


if __name__ == "__main__":
    main()
