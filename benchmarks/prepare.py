"""What the processes of a case share: the model's directory, the questions, and the sizes for its floor."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from benchmarks.cases import Lengths
from benchmarks.loading import load_tokenizer
from benchmarks.models import prepare_model
from benchmarks.questions import draw_questions
from swarmd.tasks import prompt_messages

QUESTIONS_DRAWN = 9  # those of median length are asked


@dataclass(frozen=True)
class Prepared:
    """A model and its questions."""

    model_dir: str
    questions: tuple[str, ...]
    prompt_tokens: int
    """Mean over the rendered questions."""
    layer_weights: int
    head_weights: int
    """Weights of the output layer, which also embeds the input."""

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Prepared:
        return cls(**{**plain, "questions": tuple(plain["questions"])})

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def prepare(model: str, lengths: Lengths, preset: str, groups: int, cache: Path) -> Prepared:
    """Write the model if needed and draw its questions. Raises ModelError, TaskError."""
    directory = prepare_model(model, lengths, cache)
    questions = middle(draw_questions(preset, QUESTIONS_DRAWN), groups)
    tokenizer: Any = load_tokenizer(directory)
    sizes = []
    for question in questions:
        messages = [dict(message) for message in prompt_messages(question)]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        sizes.append(len(prompt))
    layers, head = _weights(directory)
    return Prepared(str(directory), tuple(questions), round(statistics.fmean(sizes)), layers, head)


def middle(questions: list[str], count: int) -> list[str]:
    """Return `count` questions around the median length. Raises ValueError if there are fewer."""
    if count > len(questions):
        raise ValueError(f"{count} questions were requested but {len(questions)} drawn")
    ordered = sorted(questions, key=len)
    first = (len(ordered) - count) // 2
    return ordered[first : first + count]


def _weights(directory: Path) -> tuple[int, int]:
    config = json.loads((directory / "config.json").read_text())
    head: int = config["vocab_size"] * config["hidden_size"]
    with safe_open(directory / "model.safetensors", "pt") as file:
        total = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  not a mapping
    return total - head, head
