"""Make the embedded model: a 1.4 M parameter language model that reinforcement learning can visibly improve.

    python examples/train_embedded_model.py --out swarmd/assets/embedded     # train, save, print the figures
    python examples/train_embedded_model.py --check swarmd/assets/embedded   # only the figures
    python examples/train_embedded_model.py --size larger --out examples/models/larger-base  # 2.4 M

A peer needs a starting policy that is sometimes right. A policy that never is learns nothing, and one that
always is has nothing to learn. So the recipe has two stages:

1. supervised: learn the starter tasks as well as the size allows;
2. dilute: unlearn part of it. The target is the right answer only with probability `GOLD_SHARE`. Otherwise it
   is mostly a *habit* (a systematic mistake, and the likeliest single answer, so that greedy decoding is
   mostly wrong) and sometimes a malformed completion.

Reinforcement learning then recovers latent ability rather than teaching a new skill (docs/decisions/0007).
Stopping the first stage early does not work: such a model only knows the most common answers, and RL has
nothing to amplify.

Held-out questions (protocol.held_out) are never trained on, and `--check` asks only those. This file does no
RL, and downloads nothing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from dilution import DILUTION, SEED, dilute
from imitation import END, Stage, load, rows_of, save, train
from model_figures import figures
from starter_items import (
    PRESETS,
    QUESTION_SEED,
    SEED_STRIDE,
    WEEKDAYS,
    Item,
    completion,
    draw_items,
    habit,
    load_tasks,
    training_items,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT_TOKENS = 1024  # the starter tasks need 60; the rest lets the model read other presets' questions
PAD = "<|pad|>"
# Digits stand alone, so that arithmetic sees digit places. So do capitalised words, so that weekdays and
# names are symbols. Everything between them merges freely, including spaces: a template's phrase becomes one
# token, and a prompt takes 13-28 tokens instead of the 21-69 that a split at every word would give.
PIECE = r"\d|[A-Z]+[a-z]*|[^A-Z\d]+"
# System messages are skipped: every model gets the same instruction, and this one was made for it.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """A model's shape, and the size of its vocabulary. Its heads have 32 dimensions each."""

    vocabulary: int
    hidden: int
    layers: int
    feed_forward: int


SIZES = {
    "embedded": Size(vocabulary=1024, hidden=160, layers=4, feed_forward=448),
    "larger": Size(vocabulary=512, hidden=192, layers=5, feed_forward=528),
}
HEAD_SIZE = 32

PER_TASK, QUICK_PER_TASK = 20_000, 300  # items drawn per task; small families repeat, as they do for peers
GOLD_SHARE = 0.42  # share of diluted targets
HABIT_SHARE = 0.9  # share of the targets that are not gold; the others are malformed

SUPERVISED = Stage(steps=2500, batch=64, learning_rate=7e-4)


def diluted(answer: str, rng: random.Random, gold_share: float) -> str:
    """Return a target for the second stage: right with probability `gold_share`, else a habit or malformed
    reply.
    """
    if rng.random() < gold_share:
        return completion(answer)
    if rng.random() < HABIT_SHARE:
        return completion(habit(answer))
    return rng.choice([answer, f"<answer>{answer}", f"{answer}</answer>", "<answer></answer>"])


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a byte-level BPE on `texts`. Each answer tag is one ordinary token, so decoding keeps it."""
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PIECE), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2,  # minus two for the tags
        special_tokens=[PAD, "<|im_start|>", END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=8,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in ("<answer>", "</answer>")])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        model_max_length=CONTEXT_TOKENS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def tokenizer_texts(starter: dict[str, list[Item]]) -> Iterator[str]:
    """Yield the starter questions, some of the paper's (a swarm may ask this model), and the words of the
    chat.
    """
    for items in starter.values():
        yield from (item.question for item in items)
    for index, task in enumerate(load_tasks(PRESETS / "sapo.toml")):
        yield from (item.question for item in draw_items(task, 3 * QUESTION_SEED + index * SEED_STRIDE, 30))
    yield from ["user\n", "assistant\n", *WEEKDAYS] * 1000


def new_model(tokenizer: Any, size: Size) -> LlamaForCausalLM:
    """Return an untrained model: 1.44 M parameters of size "embedded", 2.4 M of size "larger".

    Llama with biases rather than Qwen2, from which it differs in only one bias: when transformers 5 loads a
    model of type "qwen2", it silently replaces the pre-tokenizer with Qwen2's own.
    """
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.hidden // HEAD_SIZE,
            num_key_value_heads=size.hidden // HEAD_SIZE,
            intermediate_size=size.feed_forward,
            max_position_embeddings=CONTEXT_TOKENS,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            tie_word_embeddings=True,
            attention_bias=True,
            initializer_range=0.05,  # at the usual 0.02 it learns only constants for 500 steps or more
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def learn(out: Path, size: Size, stage: Stage, per_task: int) -> None:
    """Stage one: save in `out` a tokenizer and a model as good at the starter tasks as the stage allows."""
    torch.manual_seed(SEED)
    items = training_items(load_tasks(), per_task)
    tokenizer = train_tokenizer(tokenizer_texts(items), size.vocabulary)
    model = new_model(tokenizer, size)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    draw = rows_of(items, tokenizer, random.Random(SEED), lambda item: completion(item.answer))
    train(model, stage, draw, "supervised")
    save(model, tokenizer, out)


def main() -> None:
    """Parse the command line and train, check, or both."""
    parser = argparse.ArgumentParser(description="Make the embedded model, or print its success.")
    parser.add_argument("--out", type=Path, help="train and save here")
    parser.add_argument("--check", type=Path, help="only print the success of the model saved here")
    parser.add_argument("--supervised", type=Path, help="dilute the stage-one model here; make it if absent")
    parser.add_argument("--size", choices=SIZES, default="embedded", help="of the model that stage one makes")
    parser.add_argument("--steps", type=int, default=SUPERVISED.steps, help="steps of stage one")
    parser.add_argument("--gold-share", type=float, default=GOLD_SHARE, help="share of diluted targets")
    parser.add_argument(
        "--quick", action="store_true", help="takes seconds: tests the code, makes no useful model"
    )
    given = parser.parse_args()
    if not (given.out or given.check):
        parser.error("give --out DIR or --check DIR")
    torch.set_num_threads(1)
    supervised, dilution, per_task = replace(SUPERVISED, steps=given.steps), DILUTION, PER_TASK
    if given.quick:
        supervised, dilution, per_task = Stage(3, 16, 1e-3, 1), Stage(2, 16, 5e-4, 1), QUICK_PER_TASK
    if given.out:
        first = given.supervised or given.out
        if given.supervised is None or not (first / "config.json").exists():
            learn(first, SIZES[given.size], supervised, per_task)
        dilute(first, given.out, dilution, per_task, partial(diluted, gold_share=given.gold_share))
    if given.check or not given.quick:
        figures(*load(given.check or given.out))


if __name__ == "__main__":
    main()
