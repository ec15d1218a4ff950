"""Make the embedded model: a 1.4 M parameter language model that reinforcement learning can visibly improve.

    python examples/train_embedded_model.py --out swarmd/assets/embedded     # train, save, print the figures
    python examples/train_embedded_model.py --check swarmd/assets/embedded   # only the figures

A peer needs a starting policy that is sometimes right: from one that never is, it learns nothing, and one
that is always right has nothing to learn. So the recipe has two stages:

1. supervised: learn the starter tasks as well as the size allows;
2. dilute: unlearn part of it. The target is the right answer only with probability `GOLD_SHARE`; otherwise
   it is mostly a *habit* (a systematic mistake, and the likeliest single answer, so that greedy decoding is
   mostly wrong) and sometimes a malformed completion.

What reinforcement learning then recovers is ability that is latent, not new skill (docs/decisions/0007).
Stopping the first stage early does not do: such a model only knows the commonest answers, and RL has
nothing to amplify.

Held-out questions (protocol.held_out) are never trained on, and are all that `--check` asks. This file does
no RL, and downloads nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import reasoning_gym
import torch
from reasoning_gym.utils import extract_answer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from protocol.held_out import is_held_out

PRESETS = Path(__file__).parents[1] / "swarmd" / "tasks" / "presets"

VOCABULARY = 1024
CONTEXT_TOKENS = 1024  # the starter tasks need 60; the rest lets the model read other presets' questions
PAD, END = "<|pad|>", "<|im_end|>"
# Digits stand alone, so that arithmetic sees places; so do words with a capital, so that weekdays and names
# are symbols. Everything between merges freely, spaces included: a template's phrase becomes one token, and
# a prompt takes 13-28 tokens instead of the 21-69 of a split at every word.
PIECE = r"\d|[A-Z]+[a-z]*|[^A-Z\d]+"
# System messages are skipped: every model is sent the same instruction, this one was made knowing it.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SEED = 0  # of the weights and of the order of questions
QUESTION_SEED = 770_000_000  # reasoning-gym uses seed + index: far from any seed a peer is likely to draw
SEED_STRIDE = 10_000_000
PER_TASK, QUICK_PER_TASK = 20_000, 300  # items drawn; small families repeat themselves, as they do for peers
HELD_OUT_PER_TASK = 25

GOLD_SHARE = 0.42  # of diluted targets
HABIT_SHARE = 0.9  # of the targets that are not gold; the others are malformed
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Item:
    """One question, with what is needed to answer and to score it."""

    task: str
    question: str
    answer: str
    score: Callable[[str], float]  # of an extracted answer

    def is_right(self, text: str) -> bool:
        """Whether a completion earns the reward of an "exact" swarm."""
        answer = extract_answer(text)
        return answer is not None and self.score(answer) >= 0.99


@dataclass(frozen=True)
class Stage:
    """How long and how hard to train: the rate warms up, then decays as a cosine to a tenth."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 50


SUPERVISED = Stage(steps=2500, batch=64, learning_rate=7e-4)
DILUTION = Stage(steps=150, batch=64, learning_rate=5e-4, warmup=10)
PART = 32  # rows in one pass: a batch is sorted by length and split, so that little of it is padding


def load_tasks(preset: str) -> list[dict[str, Any]]:
    """The task tables of a preset manifest."""
    manifest = tomllib.loads((PRESETS / f"{preset}.toml").read_text())
    return list(manifest["tasks"])


def draw_items(task: dict[str, Any], seed: int, count: int) -> list[Item]:
    """`count` items in the dataset's own proportions: repeats and held-out questions included."""
    dataset = reasoning_gym.create_dataset(task["dataset"], size=count, seed=seed, **task.get("config", {}))
    return [
        Item(
            task["name"], entry["question"], str(entry["answer"]), partial(dataset.score_answer, entry=entry)
        )
        for entry in (dataset[index] for index in range(count))
    ]


def training_items(tasks: list[dict[str, Any]], per_task: int) -> dict[str, list[Item]]:
    """Items to train on, by task; no held-out question is among them."""
    items: dict[str, list[Item]] = {}
    for number, task in enumerate(tasks):
        drawn = draw_items(task, QUESTION_SEED + number * SEED_STRIDE, per_task)
        items[task["name"]] = [item for item in drawn if not is_held_out(item.question)]
    return items


def evaluation_items(tasks: list[dict[str, Any]], per_task: int = HELD_OUT_PER_TASK) -> list[Item]:
    """The same distinct held-out questions every time: the first `per_task` drawn of each task."""
    items: list[Item] = []
    for number, task in enumerate(tasks):
        drawn = draw_items(task, 2 * QUESTION_SEED + number * SEED_STRIDE, 100 * per_task)
        distinct = {item.question: item for item in drawn if is_held_out(item.question)}
        items += list(distinct.values())[:per_task]
    return items


def completion(answer: str) -> str:
    """What a well-formed reply looks like, without the end token."""
    return f"<answer>{answer}</answer>"


def habit(answer: str) -> str:
    """The systematic mistake: the next weekday, or the first digit one up. Always wrong, always the same."""
    if answer in WEEKDAYS:
        return WEEKDAYS[(WEEKDAYS.index(answer) + 1) % len(WEEKDAYS)]
    return re.sub(r"\d", lambda digit: str((int(digit.group()) + 1) % 10), answer, count=1)


def diluted(answer: str, rng: random.Random, gold_share: float) -> str:
    """A target for the second stage: right with probability `gold_share`, else a habit or malformed."""
    if rng.random() < gold_share:
        return completion(answer)
    if rng.random() < HABIT_SHARE:
        return completion(habit(answer))
    return rng.choice([answer, f"<answer>{answer}", f"{answer}</answer>", "<answer></answer>"])


def train_tokenizer(texts: Iterable[str]) -> Any:
    """Byte-level BPE over `texts`. Each answer tag is one token, but an ordinary one: decoding keeps it."""
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PIECE), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,  # two for the tags
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
    """The starter questions, a few of the paper's (a swarm may ask them of this model), the chat's words."""
    for items in starter.values():
        yield from (item.question for item in items)
    for number, task in enumerate(load_tasks("sapo")):
        yield from (item.question for item in draw_items(task, 3 * QUESTION_SEED + number * SEED_STRIDE, 30))
    yield from ["user\n", "assistant\n", *WEEKDAYS] * 1000


def new_model(tokenizer: Any) -> LlamaForCausalLM:
    """1.44 M parameters, untrained.

    Llama with biases rather than Qwen2, which it equals but for one bias: transformers 5 replaces the
    pre-tokenizer of any model whose type is "qwen2" by Qwen2's own when it loads it, without a word.
    """
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=160,
            num_hidden_layers=4,
            num_attention_heads=5,
            num_key_value_heads=5,
            intermediate_size=448,
            max_position_embeddings=CONTEXT_TOKENS,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            tie_word_embeddings=True,
            attention_bias=True,
            initializer_range=0.05,  # at the usual 0.02 it learns constants only, for 500 steps and more
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """The token ids of a chat that asks `question` and awaits the reply."""
    chat = [{"role": "user", "content": question}]
    return list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write the model in fp16 for size; the config asks for fp32, because half precision is slow on a CPU."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.update(do_sample=True, temperature=1.0, top_k=0, max_new_tokens=16)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model.float()


def load(directory: Path) -> tuple[Any, Any]:
    """The model, in single precision, and the tokenizer saved in `directory`."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(directory)


Row = tuple[list[int], list[int]]  # prompt ids, completion ids


def answer_loss(model: Any, rows: list[Row]) -> torch.Tensor:
    """Summed cross-entropy of the completions given the prompts."""
    width = max(len(prompt) + len(reply) for prompt, reply in rows)
    ids = torch.full((len(rows), width), model.config.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (prompt, reply) in enumerate(rows):
        ids[row, : len(prompt) + len(reply)] = torch.tensor(prompt + reply)
        labels[row, len(prompt) : len(prompt) + len(reply)] = torch.tensor(reply)
    logits = model(input_ids=ids).logits[:, :-1]  # padding is on the right: causal attention never sees it
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="sum")


def train(model: Any, stage: Stage, draw: Callable[[], Row], name: str) -> None:
    """Run one stage, in place, on the rows that `draw` yields."""
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    started = time.monotonic()
    for step in range(stage.steps):
        rate = min((step + 1) / stage.warmup, 0.55 + 0.45 * math.cos(math.pi * step / stage.steps))
        for group in optimiser.param_groups:
            group["lr"] = stage.learning_rate * rate
        rows = sorted((draw() for _ in range(stage.batch)), key=lambda row: len(row[0]))
        tokens = sum(len(reply) for _, reply in rows)
        total = 0.0
        for start in range(0, stage.batch, PART):
            loss = answer_loss(model, rows[start : start + PART]) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if step % 100 == 99 or step + 1 == stage.steps:
            seconds = time.monotonic() - started
            print(f"{name} {step + 1}/{stage.steps} loss {total:.3f} {seconds:.0f} s", flush=True)


def rows_of(
    items: dict[str, list[Item]], tokenizer: Any, rng: random.Random, target: Callable[[str], str]
) -> Callable[[], Row]:
    """Draws training rows: every task equally often, and `target` of each answer for the completion."""
    names = sorted(items)
    prompt = cache(lambda question: prompt_ids(tokenizer, question))

    def draw() -> Row:
        item = rng.choice(items[rng.choice(names)])
        return prompt(item.question), list(tokenizer(target(item.answer) + END)["input_ids"])

    return draw


def learn(out: Path, stage: Stage, per_task: int) -> None:
    """Stage one: a tokenizer and a model as good at the starter tasks as the stage allows, saved in `out`."""
    torch.manual_seed(SEED)
    items = training_items(load_tasks("starter"), per_task)
    tokenizer = train_tokenizer(tokenizer_texts(items))
    model = new_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    train(model, stage, rows_of(items, tokenizer, random.Random(SEED), completion), "supervised")
    save(model, tokenizer, out)


def dilute(supervised: Path, out: Path, stage: Stage, per_task: int, gold_share: float) -> None:
    """Stage two: the model saved in `supervised`, made to err, saved in `out` (which may be the same)."""
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    items = training_items(load_tasks("starter"), per_task)
    model, tokenizer = load(supervised)
    target = partial(diluted, rng=rng, gold_share=gold_share)
    train(model, stage, rows_of(items, tokenizer, rng, target), "dilution")
    save(model, tokenizer, out)


@torch.no_grad()
def replies(model: Any, tokenizer: Any, items: list[Item], samples: int) -> list[list[str]]:
    """Decoded completions of each item: `samples` drawn at temperature 1, or a greedy one if that is 0."""
    model.eval()
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_k": None}
    if samples > 0:
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": samples}
    each, out = max(samples, 1), []
    for start in range(0, len(items), PART):
        rows = [prompt_ids(tokenizer, item.question) for item in items[start : start + PART]]
        inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        new = model.generate(**inputs, **sampling, max_new_tokens=16)[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        out += [texts[row * each : (row + 1) * each] for row in range(len(rows))]
    return out


def constant_baseline(items: list[Item]) -> tuple[str, float]:
    """The single answer that scores best on all of `items`, and its success: what ignorance is worth."""
    answers = sorted({item.answer for item in items})
    scores = {answer: sum(item.is_right(completion(answer)) for item in items) for answer in answers}
    best = max(answers, key=lambda answer: scores[answer])
    return best, scores[best] / len(items)


def figures(model: Any, tokenizer: Any, samples: int = 8) -> dict[str, float]:
    """Print success on the held-out questions, by task; return the means over all tasks."""
    torch.manual_seed(0)
    items = evaluation_items(load_tasks("starter"))
    single, drawn = replies(model, tokenizer, items, 0), replies(model, tokenizer, items, samples)
    columns = ("greedy", "pass@1", f"pass@{samples}", "format", "constant")
    print(f"{'held-out':24}   n " + " ".join(f"{column:>8}" for column in columns))
    rows: list[tuple[float, ...]] = []
    for task in dict.fromkeys(item.task for item in items):
        mine = [index for index, item in enumerate(items) if item.task == task]
        hits = [sum(map(items[index].is_right, drawn[index])) for index in mine]
        tagged = sum(extract_answer(text) is not None for index in mine for text in drawn[index])
        greedy = sum(items[index].is_right(single[index][0]) for index in mine)
        answer, constant = constant_baseline([items[index] for index in mine])
        counts = (greedy, sum(hits) / samples, sum(hit > 0 for hit in hits), tagged / samples)
        rows.append((*(count / len(mine) for count in counts), constant))
        print(f"{task:24} {len(mine):3} " + " ".join(f"{value:8.3f}" for value in rows[-1]) + f" ({answer})")
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print(f"{'all':24} {len(items):3} " + " ".join(f"{value:8.3f}" for value in means), flush=True)
    return dict(zip(columns, means, strict=True))


def main() -> None:
    """Parse the command line and train, check, or both."""
    parser = argparse.ArgumentParser(description="Make the embedded model, or print its figures.")
    parser.add_argument("--out", type=Path, help="train and save here")
    parser.add_argument("--check", type=Path, help="only print the figures of the model saved here")
    parser.add_argument("--supervised", type=Path, help="dilute the stage-one model here; make it if absent")
    parser.add_argument("--steps", type=int, default=SUPERVISED.steps, help="of stage one")
    parser.add_argument("--gold-share", type=float, default=GOLD_SHARE, help="of diluted targets")
    parser.add_argument("--quick", action="store_true", help="seconds: the path, not the model")
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
            learn(first, supervised, per_task)
        dilute(first, given.out, dilution, per_task, given.gold_share)
    if given.check or not given.quick:
        figures(*load(given.check or given.out))


if __name__ == "__main__":
    main()
