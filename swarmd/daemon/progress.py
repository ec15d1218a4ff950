"""What a restarted peer must find again, and its way into a checkpoint and back.

Weights and optimiser are the policy's and the trainer's; here are the counters and the random generators, so
that a step that is repeated after a kill asks the same questions and samples the same completions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel, JsonValue

from protocol import PeerId
from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.learning import (
    Experience,
    StepMetrics,
    Trainer,
)
from swarmd.model import Base
from swarmd.observe import SelfEvaluation
from swarmd.policy import Policy
from swarmd.storage import Checkpoint, Checkpoints


class _Saved(BaseModel):
    step: int
    questions_drawn: int
    rng: tuple[int, tuple[int, ...], float | None]
    generator: str
    experience: dict[str, dict[str, tuple[float, int]]] = {}  # checkpoints of earlier versions have none
    evaluation: SelfEvaluation | None = None  # nor this
    best: SelfEvaluation | None = None


@dataclass
class Progress:
    """One peer's own counters and randomness. `step` counts policy updates; it never equals the round."""

    step: int = 0
    questions_drawn: int = 0
    rng: random.Random = field(default_factory=random.Random)
    """Chooses external groups."""
    generator: torch.Generator = field(default_factory=torch.Generator)
    """Samples completions; on the CPU whatever the model's device."""
    saved_step: int = 0
    """Of the last save; 0 or less when there is none yet that goes on from here."""
    origin: str | None = None
    """SHA-256 of the weights that the operator had it go on from."""
    experience: Experience = field(default_factory=Experience)
    evaluation: SelfEvaluation | None = None
    """The newest; None before the first."""
    best: SelfEvaluation | None = None
    """The one with the highest success, the earliest of equals."""

    @classmethod
    def fresh(cls, seed: int) -> Progress:
        """At step 0, with generators seeded from `seed`."""
        rng = random.Random(seed)  # noqa: S311  not a secret
        return cls(rng=rng, generator=torch.Generator().manual_seed(seed))

    def see_step(self, metrics: StepMetrics) -> None:
        """A step is done."""
        self.step += 1
        self.experience.see_external(metrics.external_surprisal)

    def see_evaluation(self, found: SelfEvaluation) -> bool:
        """The policy of this moment answered held-out questions; returns whether better than ever."""
        self.evaluation = found
        is_best = self.best is None or found.success > self.best.success
        if is_best:
            self.best = found
        return is_best

    def to_state(self) -> dict[str, JsonValue]:
        """As JSON holds it."""
        version, words, gauss = self.rng.getstate()
        return {
            "step": self.step,
            "questions_drawn": self.questions_drawn,
            "rng": [version, list(words), gauss],
            "generator": bytes(self.generator.get_state().numpy()).hex(),
            "experience": {
                table: {key: list(mean) for key, mean in means.items()}
                for table, means in self.experience.to_state().items()
            },
            "evaluation": None if self.evaluation is None else self.evaluation.model_dump(mode="json"),
            "best": None if self.best is None else self.best.model_dump(mode="json"),
        }

    def restore(self, state: JsonValue) -> None:
        """What `to_state` gave. Raises pydantic.ValidationError for anything else."""
        saved = _Saved.model_validate(state)
        self.rng.setstate(saved.rng)
        self.generator.set_state(torch.frombuffer(bytearray.fromhex(saved.generator), dtype=torch.uint8))
        self.experience.restore(saved.experience)
        self.step = self.saved_step = saved.step
        self.questions_drawn = saved.questions_drawn
        self.evaluation, self.best = saved.evaluation, saved.best


def save(
    checkpoints: Checkpoints,
    progress: Progress,
    policy: Policy,
    trainer: Trainer,
    config: PolicyConfig,
    peer_id: PeerId | None = None,
    base: Base | None = None,
) -> Path:
    """Write a checkpoint of this moment; call it in the model thread. Raises StorageError, losing nothing.

    `config` says with which model and adapter the weights are to be loaded again (`swarmd eval`), `peer_id`
    whose counters these are, `base` what an adapter was trained on.
    """
    path = checkpoints.save(
        progress.step,
        # Nothing trains meanwhile, and copies would take as much memory as training itself.
        tensors=policy.trainable_state(live=True),
        optimizer=trainer.state_dict(live=True),
        state={"progress": progress.to_state(), "origin": progress.origin},
        about={
            "peer": peer_id,
            "family": policy.family,
            "tokenizer": policy.tokenizer_fingerprint.hex(),
            "base": None if base is None else base.to_state(),
            "policy": {
                "model": config.model,
                "lora_rank": config.lora_rank,
                "lora_alpha": config.lora_alpha,
            },
        },
        keep_step=None if progress.best is None else progress.best.step,
    )
    progress.saved_step = progress.step
    return path


def resume(
    checkpoint: Checkpoint,
    progress: Progress,
    policy: Policy,
    trainer: Trainer,
    peer_id: PeerId | None = None,
) -> tuple[str, ...]:
    """Put a checkpoint's state back, as far as it is whole. Steps are counted on only where they are those of
    `peer_id`: nobody claims another's. Returns what there is to say, a sentence each. Raises ConfigError when
    it is of another model than `policy`, ModelError.
    """
    family = checkpoint.state.get("family", policy.family)
    if family != policy.family:
        raise ConfigError(
            f"the checkpoint {checkpoint.path} is of the model {family}, and {policy.family} was loaded: "
            "start with the --model (and --lora) it was made with, or use another --home"
        )
    tokenizer = policy.tokenizer_fingerprint.hex()
    if checkpoint.state.get("tokenizer", tokenizer) != tokenizer:
        raise ConfigError(
            f"the checkpoint {checkpoint.path} was trained with another tokenizer than the model has "
            "now: put the former tokenizer files back, or use another --home"
        )
    policy.load_trainable_state(checkpoint.tensors)
    if checkpoint.optimizer:
        trainer.load_state_dict(checkpoint.optimizer)
    whose = checkpoint.state.get("peer")
    if peer_id is not None and whose is not None and whose != peer_id:
        return (f"{checkpoint.path} is of the peer {whose}: this one counts its own steps, from 0",)
    if "progress" in checkpoint.state:
        progress.restore(checkpoint.state["progress"])
    else:
        progress.step = checkpoint.step
    return ()
