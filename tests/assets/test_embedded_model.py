"""The embedded model: loads offline, reads and writes as others expect, and can be made again."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from protocol.held_out import is_held_out
from swarmd.assets import EMBEDDED_MODEL_DIR

RECIPE = Path(__file__).parents[2] / "examples" / "train_embedded_model.py"
ITEMS = RECIPE.with_name("starter_items.py")
SIZE_BYTES_MAX = 5 * 2**20  # what a wheel may reasonably carry for a model most operators replace

QUESTION = "How many 1 bits are there in the binary representation of the number 625?"
SYSTEM = {"role": "system", "content": "Answer between <answer> and </answer>."}
USER = {"role": "user", "content": QUESTION}


@pytest.fixture(autouse=True)
def beside_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a script that is run, its folder is where it imports from."""
    monkeypatch.syspath_prepend(str(RECIPE.parent))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(EMBEDDED_MODEL_DIR, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(EMBEDDED_MODEL_DIR, local_files_only=True)


def prompt(tokenizer: Any, *messages: dict[str, str]) -> str:
    return str(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False))


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED_MODEL_DIR.iterdir()) <= SIZE_BYTES_MAX


def test_it_loads_in_single_precision_although_it_is_stored_in_half(model: Any) -> None:
    assert model.dtype == torch.float32


def test_the_system_message_is_ignored(tokenizer: Any) -> None:
    assert prompt(tokenizer, SYSTEM, USER) == prompt(tokenizer, USER)


def test_a_prompt_is_one_chat_turn_awaiting_the_assistant(tokenizer: Any) -> None:
    expected = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert prompt(tokenizer, USER) == expected


def test_padding_goes_left_and_is_not_the_end_token(tokenizer: Any, model: Any) -> None:
    assert tokenizer.padding_side == "left"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|pad|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_every_digit_is_a_token(tokenizer: Any) -> None:
    for text in ("1234567890", "-12.5", "3/4", "<answer>2022</answer>"):
        pieces = [tokenizer.decode([token]) for token in tokenizer(text)["input_ids"]]
        digits = [piece for piece in pieces if any(character.isdigit() for character in piece)]
        assert digits == [character for character in text if character.isdigit()]


def test_answer_tags_are_single_tokens_that_decoding_keeps(tokenizer: Any) -> None:
    tokens = tokenizer("<answer>12</answer><|im_end|>")["input_ids"]
    assert len(tokens) == 5
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "<answer>12</answer>"


@pytest.mark.parametrize(
    "text",
    [
        "<answer>12</answer>",
        "<answer>-0.75</answer>",
        "<answer>3/4</answer>",
        "<answer>Wednesday</answer>",
        "<answer></answer>",
        "12</answer>",
        "Let me think. 3 + 4 = 7, so <answer>7</answer>",
        "Größe 数 \n\t x² <answer>",
    ],
)
def test_any_text_survives_encoding(tokenizer: Any, text: str) -> None:
    tokens = tokenizer(text)["input_ids"]
    assert tokenizer.decode(tokens) == text


def test_what_it_writes_encodes_to_the_tokens_it_chose(tokenizer: Any, model: Any, one_thread: None) -> None:
    torch.manual_seed(0)
    inputs = tokenizer(prompt(tokenizer, USER), return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    drawn = model.generate(
        **inputs, do_sample=True, temperature=1.0, top_k=0, num_return_sequences=32, max_new_tokens=16
    )[:, length:]
    stable = tagged = 0
    for row in drawn.tolist():
        chosen = [token for token in row if token not in tokenizer.all_special_ids]
        text = tokenizer.decode(chosen)
        stable += tokenizer(text)["input_ids"] == chosen
        tagged += text.startswith("<answer>") and text.endswith("</answer>")
    assert stable >= 31
    assert tagged >= 20


def test_the_recipe_runs_and_yields_a_model_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setattr(sys, "argv", [str(RECIPE), "--quick", "--out", str(tmp_path)])
    runpy.run_path(str(RECIPE), run_name="__main__")
    made = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    reader = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    tokens = torch.tensor([reader("<answer>12</answer>")["input_ids"]])
    assert made(tokens).logits.isfinite().all()


def test_the_recipe_trains_on_no_held_out_question_and_is_judged_on_nothing_else() -> None:
    items = runpy.run_path(str(ITEMS))
    tasks = items["load_tasks"]()
    trained = {item.question for some in items["training_items"](tasks, 300).values() for item in some}
    asked = [item.question for item in items["evaluation_items"](tasks, 25)]
    assert not any(is_held_out(question) for question in trained)
    assert all(is_held_out(question) for question in asked)
    assert len(set(asked)) == len(asked) == 25 * len(tasks)


def test_the_habit_is_always_a_wrong_answer() -> None:
    items = runpy.run_path(str(ITEMS))
    for item in items["evaluation_items"](items["load_tasks"](), 25):
        assert item.score(item.answer) >= 0.99
        assert item.score(items["habit"](item.answer)) < 0.99
