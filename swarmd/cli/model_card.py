"""The README.md of an exported model: what it is, what it learned from which peers, how good it is, how to
use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmd.cli.version import installed_versions
from swarmd.names import name_of
from swarmd.observe import SelfEvaluation, printable
from swarmd.storage.provenance import Learned, Teacher

TEACHERS_SHOWN = 100  # peers in the table: a page or two of text


@dataclass(frozen=True)
class HeldOut:
    """Success on the swarm's held-out questions. None if not measured, or not stored."""

    before: SelfEvaluation | None
    """The untrained model's success, on the questions of `after`."""
    after: SelfEvaluation | None


@dataclass(frozen=True)
class Swarm:
    """The swarm that the weights were trained in."""

    name: str
    id: str
    """In hex."""
    tasks: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Everything that a card says. None is shown as unknown."""

    title: str
    base: str
    hub_base: str | None
    """`base` if it is a model of the hub."""
    licence: str | None
    adapter: bool
    trained_as: str
    """Such as "all weights" or "a LoRA adapter of rank 16"."""
    step: int
    peer_id: str | None
    swarm: Swarm | None
    learned: Learned | None
    held_out: HeldOut
    messages: Sequence[Mapping[str, Any]] | str
    """An example prompt: a conversation, or text for a model without a chat template."""
    template_args: Mapping[str, object]


def model_card(facts: Facts) -> str:
    """Return the card as Markdown with YAML front matter, as the hub expects it."""
    parts = [_front_matter(facts), *_what(facts), *_success(facts.held_out), *_teachers(facts.learned)]
    parts += [*_use(facts), *_versions()]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: Facts) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=facts.licence,
        base_model=facts.hub_base,
        library_name="peft" if facts.adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["swarmd", "reinforcement-learning", "reasoning", *(["lora"] if facts.adapter else [])],
    )
    return f"---\n{data.to_yaml()}\n---"


def _what(facts: Facts) -> Iterator[str]:
    yield f"# {_plain(facts.title)}"
    kind = "A LoRA adapter for" if facts.adapter else "A further trained"
    yield (
        f"{kind} {_code(facts.base)}. A peer of a swarmd swarm trained {facts.trained_as} for {facts.step} "
        "policy updates, with reinforcement learning on questions whose answers can be checked. Peers share "
        "rollouts as text, never weights."
    )
    yield _table(("", ""), _rows(facts))


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "base model", _code(facts.base)
    yield "licence of the base model", _code(facts.licence) if facts.licence else "unknown"
    if facts.swarm is None:
        yield "swarm", "unknown"
    else:
        yield "swarm", f"{_code(facts.swarm.name)}, id {_code(facts.swarm.id)}"
        yield "tasks", ", ".join(map(_code, facts.swarm.tasks))
    yield "trained by", _peer(facts.peer_id) if facts.peer_id else "unknown"
    yield "steps", str(facts.step)
    if (learned := facts.learned) is None:
        yield "groups learned from", "unknown"
        return
    since = f" (in the {learned.steps} steps on record)" if learned.steps < facts.step else ""
    yield "own groups", f"{learned.own}{since}"
    yield "groups by other peers", f"{learned.external}{since}"


def _success(found: HeldOut) -> Iterator[str]:
    yield "## Held-out success"
    after, before = found.after, found.before
    if after is None:
        yield "Not measured before this export. `swarmd eval` measures it."
        return
    fewer = ""
    if before is not None and before.questions != after.questions:
        fewer = f", the untrained one on {before.questions} questions"
    yield (
        f"The share of {after.questions} questions answered right, greedily, with its 95% interval. No peer "
        "in the swarm trains on these questions. The trained model was measured after step "
        f"{after.step}{fewer}."
    )
    rows = [("all tasks", "unknown" if before is None else _percent(before), _percent(after))]
    earlier = {} if before is None else before.tasks
    for name, success in sorted(after.tasks.items()):
        known = f"{earlier[name]:.2f}" if name in earlier else "unknown"
        rows.append((_code(name), known, f"{success:.2f}"))
    yield _table(("task", "untrained", "trained"), rows)


def _percent(found: SelfEvaluation) -> str:
    low, high = found.interval
    return f"{found.success:.3f} ({low:.3f} – {high:.3f})"


def _teachers(learned: Learned | None) -> Iterator[str]:
    yield "## Peers learned from"
    if learned is None:
        yield "Unknown."
        return
    if not learned.external:
        yield "None: up to this step, it trained on its own groups alone."
        return
    yield (
        "This peer regenerated their questions and scored their answers again before training on any. A step "
        "draws a few of them."
    )
    shown = learned.teachers[:TEACHERS_SHOWN]
    yield _table(("peer", "id", "verified groups"), map(_teacher, shown))
    if rest := len(learned.teachers) - len(shown):
        yield f"And {rest} more."


def _teacher(teacher: Teacher) -> tuple[str, str, str]:
    return name_of(teacher.peer_id), _code(teacher.peer_id), str(teacher.groups)


def _use(facts: Facts) -> Iterator[str]:
    yield "## Use"
    asked = json.dumps(facts.messages, ensure_ascii=False, indent=4)
    code = "\n".join((*_loading(facts), f"question = {asked}", "print(generate(question))"))
    yield f"```python\n{code}\n```"
    if facts.adapter and facts.hub_base is None:
        yield f"`BASE` is the folder of {_code(facts.base)}, the exact model that this was trained from."
    if facts.template_args:
        given = ", ".join(f"{name}={value!r}" for name, value in facts.template_args.items())
        yield f"It was trained with these arguments of the chat template: {_code(given)}."


def _loading(facts: Facts) -> Sequence[str]:
    if not facts.adapter:
        return "from transformers import pipeline", "", 'generate = pipeline("text-generation", ".")'
    base = facts.hub_base or "BASE"
    return (
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline",
        "",
        f'base = AutoModelForCausalLM.from_pretrained("{base}")',
        'model = PeftModel.from_pretrained(base, ".")',
        'generate = pipeline("text-generation", model, tokenizer=AutoTokenizer.from_pretrained("."))',
    )


def _versions() -> Iterator[str]:
    yield "## Software"
    yield ", ".join(f"{name} {version}" for name, version in installed_versions().items())


def _peer(peer_id: str) -> str:
    return f"{name_of(peer_id)} ({_code(peer_id)})"


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    """Quote other people's text so that a card shows it verbatim and Markdown does not interpret it."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', '/')}`"


def _plain(text: str) -> str:
    """Return another party's name, escaped for use within our text."""
    return "".join(c for c in printable(text) if c not in "`*_[]<>|#\\")


def write_card(folder: Path, facts: Facts) -> None:
    """Write the card into `folder`. Raises OSError."""
    (folder / "README.md").write_text(model_card(facts), encoding="utf-8")
