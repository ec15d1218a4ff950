"""Collect what a model card says, from the checkpoint and from the home that contains it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from swarmd.assets import EMBEDDED_MODELS
from swarmd.cli.model_card import Facts, HeldOut, Swarm
from swarmd.observe import SelfEvaluation
from swarmd.step.evaluation import wilson_interval
from swarmd.storage import Home
from swarmd.storage.provenance import read_learned, read_untrained

if TYPE_CHECKING:
    from swarmd.model import ChatTokenizer
    from swarmd.model.exporting import Trained
    from swarmd.storage import Checkpoint

EXAMPLE_QUESTION = "What is 2 + 3?"


class _Progress(BaseModel):
    """The part of a checkpoint's progress that the card shows; `step/progress.py` writes it."""

    evaluation: SelfEvaluation | None = None
    asked: tuple[str, ...] = ()
    """Its questions, as digests in hex; missing in checkpoints of earlier versions."""


def gather(
    checkpoint: Checkpoint, trained: Trained, tokenizer: ChatTokenizer, *, title: str, adapter: bool
) -> Facts:
    """Return what is known about `checkpoint`. Raises ConfigError for a damaged manifest, StorageError."""
    from swarmd.model.licence import licence_of
    from swarmd.model.locating import is_hub_id
    from swarmd.step.trained_on import examples_of

    home = _home_of(checkpoint.path)
    peer = checkpoint.state.get("peer")
    shown = [example for example in examples_of(checkpoint) if not example.images]  # the card holds text only
    return Facts(
        title=title,
        base=_shown(trained.model),
        hub_base=trained.model if is_hub_id(trained.model) else None,
        licence=licence_of(trained.model),
        adapter=adapter,
        trained_as="all weights" if trained.lora is None else f"a LoRA adapter of rank {trained.lora.rank}",
        step=checkpoint.step,
        peer_id=peer if isinstance(peer, str) else None,
        swarm=None if home is None else _swarm_of(home),
        learned=None if home is None else read_learned(home.database_path, checkpoint.step),
        held_out=_held_out(checkpoint, home),
        messages=tokenizer.asked(EXAMPLE_QUESTION, shown),
        template_args=trained.template_args,
    )


def _shown(model: str) -> str:
    """Return a base model's name for others, without its path on this machine."""
    if model in EMBEDDED_MODELS:
        return f"{model} (the model inside swarmd)"
    return Path(model).name if Path(model).is_dir() else model


def _held_out(checkpoint: Checkpoint, home: Home | None) -> HeldOut:
    """Return the stored success of `checkpoint`, and of the untrained model on the same questions."""
    try:
        found = _Progress.model_validate(checkpoint.state.get("progress") or {})
    except ValidationError:  # written by a version that stores it differently
        found = _Progress()
    asked = list(map(bytes.fromhex, found.asked))
    counts = {} if home is None else read_untrained(home.database_path, checkpoint.step, asked)
    return HeldOut(before=_measured(counts) if counts else None, after=found.evaluation)


def _measured(counts: Mapping[str, tuple[int, int]]) -> SelfEvaluation:
    """Return the untrained model's success; `counts` is task -> (right, asked)."""
    right, asked = (sum(column) for column in zip(*counts.values(), strict=True))
    return SelfEvaluation(
        step=0,
        success=right / asked,
        interval=wilson_interval(right, asked),
        questions=asked,
        tasks={task: right / asked for task, (right, asked) in counts.items()},
    )


def _home_of(checkpoint: Path) -> Home | None:
    """Return the home that contains a checkpoint; None if it was copied elsewhere."""
    home = Home(checkpoint.parent.parent)
    return home if home.checkpoints_path == checkpoint.parent and home.identity_path.exists() else None


def _swarm_of(home: Home) -> Swarm | None:
    manifest = home.manifest()
    if manifest is None:
        return None
    return Swarm(manifest.name, manifest.swarm_id.hex(), [task.name for task in manifest.tasks])
