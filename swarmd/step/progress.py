"""The state that a restarted peer must recover, and how it is saved to and restored from a checkpoint.

The policy owns the weights, and the trainer owns the optimiser's moments. This module holds the counters and
random generators. With them, a step repeated after a kill asks the same questions and samples the same
completions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel, JsonValue

from protocol import PeerId
from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.groups import ScoredGroup
from swarmd.learning import Experience, Rehearsal, StepMetrics, Study, Trainer
from swarmd.model import Base
from swarmd.observe import SelfEvaluation
from swarmd.policy import Policy
from swarmd.step.needed import Shown
from swarmd.step.repeated_answers import DrawnAnswers
from swarmd.step.trained_on import examples_of, examples_state, how_it_is_asked
from swarmd.storage import Checkpoint, Checkpoints


class _Saved(BaseModel):
    step: int
    questions_drawn: int
    rng: tuple[int, tuple[int, ...], float | None]
    generator: str
    experience: dict[str, dict[str, tuple[float, int]]] = {}  # missing in checkpoints of earlier versions
    rehearsal: dict[str, dict[str, list[tuple[str, int]]]] = {}  # missing there too
    study: dict[str, list[tuple[str, int]]] = {}  # missing there too
    shown: dict[str, dict[str, tuple[float, float, float]]] = {}  # missing there too
    drawn_answers: dict[str, list[tuple[str, str]]] = {}  # missing there too
    evaluation: SelfEvaluation | None = None  # missing there too
    best: SelfEvaluation | None = None
    asked: tuple[str, ...] = ()  # missing there too


@dataclass
class Progress:
    """One peer's counters and random generators. `step` counts policy updates; it is unrelated to the
    round."""

    step: int = 0
    questions_drawn: int = 0
    drawing_rng: random.Random = field(default_factory=random.Random)
    """Chooses external groups."""
    sampling_rng: torch.Generator = field(default_factory=torch.Generator)
    """Samples completions. On the CPU, whatever device the model is on."""
    saved_step: int = 0
    """The step of the last save; 0 or less if this home has not saved a checkpoint yet."""
    origin: str | None = None
    """SHA-256 of the weights that the operator chose to start from; None otherwise."""
    origin_place: str | None = None
    """The absolute path by which the operator named them."""
    experience: Experience = field(default_factory=Experience)
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    study: Study = field(default_factory=Study)
    shown: Shown = field(default_factory=Shown)
    drawn_answers: DrawnAnswers = field(default_factory=DrawnAnswers)
    evaluation: SelfEvaluation | None = None
    """The latest evaluation; None before the first."""
    best: SelfEvaluation | None = None
    """The evaluation with the highest success among those with the most questions; the earliest if tied."""
    asked: tuple[str, ...] = ()
    """Digests in hex of the questions of `evaluation` and `best`; empty if unknown."""

    @classmethod
    def fresh(cls, seed: int) -> Progress:
        """The state at step 0, with generators seeded from `seed`."""
        drawing_rng = random.Random(seed)  # noqa: S311  not a secret
        return cls(drawing_rng=drawing_rng, sampling_rng=torch.Generator().manual_seed(seed))

    def see_step(
        self,
        metrics: StepMetrics,
        own: Sequence[ScoredGroup] = (),
        external: Sequence[ScoredGroup] = (),
        *,
        studies: bool = False,
    ) -> None:
        """Record a completed step that trained on these groups. `studies`: keep their right answers."""
        self.step += 1
        self.experience.see_external(metrics.external_surprisal)
        self.experience.see_others(external)
        self.rehearsal.see(own, external)
        if studies:
            self.study.see((*own, *external))
        self.drawn_answers.see(own, external)

    def see_evaluation(self, found: SelfEvaluation, asked: Iterable[bytes]) -> bool:
        """Record the current policy's evaluation on the held-out questions `asked` (digests). Returns whether
        it is the best so far on these. After a change of the swarm's rules there may be others.
        """
        before, self.asked = self.asked, tuple(each.hex() for each in asked)
        self.evaluation = found
        best = self.best if before in ((), self.asked) else None
        if best is not None and (found.questions, found.success) <= (best.questions, best.success):
            return False
        self.best = found
        return True

    def to_state(self) -> dict[str, JsonValue]:
        """The state as JSON."""
        version, words, gauss = self.drawing_rng.getstate()
        return {
            "step": self.step,
            "questions_drawn": self.questions_drawn,
            "rng": [version, list(words), gauss],
            "generator": bytes(self.sampling_rng.get_state().numpy()).hex(),
            "experience": {
                table: {key: list(mean) for key, mean in means.items()}
                for table, means in self.experience.to_state().items()
            },
            "rehearsal": {
                whose: {task: [list(lesson) for lesson in lessons] for task, lessons in tasks.items()}
                for whose, tasks in self.rehearsal.to_state().items()
            },
            "study": {
                task: [list(lesson) for lesson in lessons] for task, lessons in self.study.to_state().items()
            },
            "shown": {
                party: {task: list(tally) for task, tally in tallies.items()}
                for party, tallies in self.shown.to_state().items()
            },
            "drawn_answers": {
                whose: [list(pair) for pair in pairs]
                for whose, pairs in self.drawn_answers.to_state().items()
            },
            "evaluation": None if self.evaluation is None else self.evaluation.model_dump(mode="json"),
            "best": None if self.best is None else self.best.model_dump(mode="json"),
            "asked": list(self.asked),
        }

    def restore(self, state: JsonValue) -> None:
        """Restore the result of `to_state`. Raises pydantic.ValidationError for anything else."""
        saved = _Saved.model_validate(state)
        self.drawing_rng.setstate(saved.rng)
        self.sampling_rng.set_state(torch.frombuffer(bytearray.fromhex(saved.generator), dtype=torch.uint8))
        self.experience.restore(saved.experience)
        self.rehearsal.restore(saved.rehearsal)
        self.study.restore(saved.study)
        self.shown.restore(saved.shown)
        self.drawn_answers.restore(saved.drawn_answers)
        self.step = self.saved_step = saved.step
        self.questions_drawn = saved.questions_drawn
        self.evaluation, self.best, self.asked = saved.evaluation, saved.best, saved.asked


def save(
    checkpoints: Checkpoints,
    progress: Progress,
    policy: Policy,
    trainer: Trainer,
    config: PolicyConfig,
    peer_id: PeerId | None = None,
    base: Base | None = None,
) -> Path:
    """Write a checkpoint. Call it in the model thread. If it raises StorageError, nothing is lost.

    `config` records which model and adapter the weights belong to (`swarmd eval` needs it), `peer_id` whose
    counters these are, and `base` what an adapter was trained on.
    """
    path = checkpoints.save(
        progress.step,
        # Nothing trains during the save, and copies would take as much memory as training itself.
        tensors=policy.trainable_state(live=True),
        optimizer=trainer.state_dict(live=True),
        state={
            "progress": progress.to_state(),
            "origin": progress.origin,
            "origin_place": progress.origin_place,
        },
        about={
            "peer": peer_id,
            "family": policy.family,
            "tokenizer": policy.tokenizer_fingerprint.hex(),
            "base": None if base is None else base.to_state(),
            "policy": how_it_is_asked(config),
            "examples": examples_state(policy.examples),
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
    """Restore a checkpoint's state, as far as it is intact.

    The step count continues only if the steps were made by `peer_id`, because no peer may claim another's.
    Returns notes for the operator, one sentence each. Raises ConfigError if the checkpoint belongs to a
    different model than `policy`, and ModelError.
    """
    family = checkpoint.state.get("family", policy.family)
    if family != policy.family:
        raise ConfigError(
            f"the checkpoint {checkpoint.path} is of the model {family}, but {policy.family} was loaded: "
            "start with the --model (and --lora) it was made with, or use another --home"
        )
    tokenizer = policy.tokenizer_fingerprint.hex()
    if checkpoint.state.get("tokenizer", tokenizer) != tokenizer:
        raise ConfigError(
            f"the checkpoint {checkpoint.path} was trained with a different tokenizer than the model has "
            "now: restore the previous tokenizer files, or use another --home"
        )
    policy.load_trainable_state(checkpoint.tensors)
    policy.examples = examples_of(checkpoint)
    if checkpoint.optimizer:
        trainer.load_state_dict(checkpoint.optimizer)
    whose = checkpoint.state.get("peer")
    if peer_id is not None and whose is not None and whose != peer_id:
        return (f"{checkpoint.path} belongs to the peer {whose}: this peer counts its own steps from 0",)
    if "progress" in checkpoint.state:
        progress.restore(checkpoint.state["progress"])
    else:
        progress.step = checkpoint.step
    return ()
