"""The learning half of a peer: plan, policy, trainer and progress, as the home's checkpoint left them.

Everything here happens in the model thread; what it found is said by the caller, on the event loop.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from protocol import Manifest
from swarmd.config import Config, PolicyConfig
from swarmd.daemon import progress as saved_progress
from swarmd.daemon.progress import Progress
from swarmd.learning import AdaptiveExternal, Trainer
from swarmd.learning.algorithms import policy_algorithm
from swarmd.policy import HardwarePlan, Policy, Prepared, Workload, load_policy, prepare_plan
from swarmd.storage import Checkpoints, Home


@dataclass(frozen=True)
class Learner:
    """What trains, ready for the next step."""

    plan: HardwarePlan
    config: PolicyConfig
    """The operator's, completed by what the checkpoint was trained with."""
    policy: Policy
    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints
    resumed_step: int | None
    problems: tuple[str, ...]
    """Checkpoints that could not be used, a sentence each."""

    def save(self) -> None:
        """Checkpoint this moment; in the model thread. Raises StorageError, and loses nothing."""
        saved_progress.save(self.checkpoints, self.progress, self.policy, self.trainer, self.config)


def load_learner(config: Config, home: Home, manifest: Manifest, peer_id: str) -> Learner:
    """Load the model and put back the newest whole checkpoint. Blocks for seconds, or for a download.

    Raises ConfigError (an impossible wish, a checkpoint of another model), ModelError, StorageError.
    """
    checkpoints = Checkpoints(home.checkpoints_path, config.storage.checkpoints_kept)
    problems: list[str] = []
    checkpoint = checkpoints.load_latest(problems.append)
    trained = None if checkpoint is None else checkpoint.state.get("policy")
    policy_config = config.policy.completed_by(trained)
    prepared = _prepare(config, policy_config, home, manifest)
    plan = prepared.plan
    if plan.lora is not None:  # chosen by the plan, or wished for: the checkpoint names it either way
        policy_config = policy_config.model_copy(
            update={"lora_rank": plan.lora.rank, "lora_alpha": plan.lora.alpha}
        )
    policy = load_policy(
        policy_config, plan, max_new_tokens=manifest.max_new_tokens, remember=prepared.remember
    )
    trainer = Trainer(policy, config.learning)
    progress = Progress.fresh(_seed(config.seed, peer_id), AdaptiveExternal.configured(config.learning))
    if checkpoint is not None:
        saved_progress.resume(checkpoint, progress, policy, trainer)
    return Learner(
        plan=replace(plan, reasons=(*plan.reasons, policy.generator_reason, policy.scorer_reason)),
        config=policy_config,
        policy=policy,
        trainer=trainer,
        progress=progress,
        checkpoints=checkpoints,
        resumed_step=None if checkpoint is None else checkpoint.step,
        problems=tuple(problems),
    )


def _prepare(config: Config, policy: PolicyConfig, home: Home, manifest: Manifest) -> Prepared:
    """The plan for this peer's steps."""
    learning = config.learning
    new_tokens = min(policy.max_new_tokens or manifest.max_new_tokens, manifest.max_new_tokens)
    work = Workload(
        own_groups=learning.local,
        external_groups=learning.external,
        group_size=learning.group_size,
        new_tokens=new_tokens,
        reference=learning.kl_coefficient > 0,
        values=policy_algorithm(learning, new_tokens).with_values,
    )
    return prepare_plan(
        policy,
        work,
        train_tokens=learning.token_budget,
        rates_cache=home.rates_path,
        remembered=home.budgets_path,
    )


def _seed(seed: int, peer_id: str) -> int:
    """64 bits that differ from peer to peer even where the configured seeds do not."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{peer_id}".encode()).digest()[:8], "big")
