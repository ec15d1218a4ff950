"""The learning half of a peer: plan, policy, trainer and progress, as restored from the home's checkpoint.

Everything here runs in the model thread. The caller reports the results on the event loop.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from protocol import Manifest, PeerId
from swarmd.config import Config, PolicyConfig
from swarmd.daemon.beginning import Beginning
from swarmd.daemon.resuming import Past, find_resumption
from swarmd.errors import DiskFullError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import HardwarePlan
from swarmd.judges import memory_of_judges
from swarmd.learning import Trainer, policy_algorithm
from swarmd.model import Base, Watch
from swarmd.policy import Policy, Prepared, load_policy, prepare_plan
from swarmd.step import progress as saved_progress
from swarmd.step.mixing import largest_mix
from swarmd.step.progress import Progress
from swarmd.step.suiting import images_expected, require_suitable, shows_images, with_default_model
from swarmd.step.trained_on import locate_base, with_model_of
from swarmd.storage import Checkpoints, Home
from swarmd.storage.checkpoint_files import bytes_of
from swarmd.storage.durable import disk_error


@dataclass(frozen=True)
class Learner:
    """Everything that trains, ready for the next step."""

    plan: HardwarePlan
    config: PolicyConfig
    """The operator's settings, completed by the settings the checkpoint was trained with."""
    policy: Policy
    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints
    peer_id: PeerId
    resumed_step: int | None
    checkpoint_bytes: int
    """Size of the checkpoint resumed from; 0 if there was none."""
    problems: tuple[str, ...]
    """What was wrong with checkpoints and what is lost, one sentence each."""
    base: Base | None = None
    """The base model of the adapter; None if all weights are trained and saved."""

    def save(self) -> int:
        """Write a checkpoint, in the model thread. Returns its size in bytes.

        Raises StorageError, in which case nothing is lost.
        """
        path = saved_progress.save(
            self.checkpoints, self.progress, self.policy, self.trainer, self.config, self.peer_id, self.base
        )
        return _bytes_of(path)


def load_learner(
    config: Config,
    home: Home,
    manifest: Manifest,
    peer_id: PeerId,
    beginning: Beginning = Beginning(),  # noqa: B008  frozen
    past: Past = Past(),  # noqa: B008  frozen
    watch: Watch | None = None,
) -> Learner:
    """Load the model and restore the checkpoint to continue from. Blocks for seconds, or for the length of a
    download, whose progress `watch` receives.

    Raises ConfigError (an impossible setting, or a checkpoint of another model), ModelError, StorageError.
    """
    checkpoints = Checkpoints(home.checkpoints_path, config.storage.checkpoints_kept)
    resumption = find_resumption(checkpoints, home, beginning, past)
    checkpoint = resumption.checkpoint
    checkpoint_bytes = 0 if checkpoint is None else _bytes_of(checkpoint.path)
    _require_space(home, checkpoint_bytes)
    trained = None if checkpoint is None else checkpoint.state.get("policy")
    policy_config = config.policy.completed_by(trained)
    if checkpoint is None:
        policy_config = with_default_model(policy_config, manifest)
    policy_config = with_model_of(policy_config, checkpoint)
    prepared = prepare(config, policy_config, home, manifest)
    plan = prepared.plan
    if plan.lora is not None:  # the checkpoint names it, whether the plan or the operator chose it
        policy_config = policy_config.model_copy(
            update={"lora_rank": plan.lora.rank, "lora_alpha": plan.lora.alpha}
        )
    located, base = locate_base(plan, checkpoint, watch)
    policy = load_policy(
        policy_config,
        plan,
        max_new_tokens=manifest.max_new_tokens,
        remember=prepared.remember,
        located=located,
        sees=shows_images(manifest) is not False,
    )
    require_suitable(policy, manifest)
    trainer = Trainer(policy, config.learning)
    progress = Progress.fresh(_seed(config.seed, peer_id))
    told = resumption.problems
    if checkpoint is not None:
        told += saved_progress.resume(checkpoint, progress, policy, trainer, peer_id)
    progress.origin, progress.origin_place = resumption.origin, resumption.origin_place
    if resumption.named:
        progress.saved_step = -1  # saved in this home before anything else, even at step 0
    return Learner(
        plan=replace(plan, reasons=(*plan.reasons, *policy.reasons)),
        config=policy_config,
        policy=policy,
        trainer=trainer,
        progress=progress,
        checkpoints=checkpoints,
        peer_id=peer_id,
        resumed_step=None if checkpoint is None else progress.step,
        checkpoint_bytes=checkpoint_bytes,
        problems=told,
        base=base,
    )


def _bytes_of(path: Path) -> int:
    try:
        return bytes_of(path)
    except OSError as error:
        raise disk_error(f"read the checkpoint {path}", error) from error


def _require_space(home: Home, needed: int) -> None:
    """Fail now rather than at the first save. Raises DiskFullError."""
    free = shutil.disk_usage(home.path).free
    if free < needed:
        raise DiskFullError(
            f"{free / 1e6:.0f} MB are free on the disk of {home.path}, but a checkpoint takes "
            f"{needed / 1e6:.0f} MB: free some space and start again"
        )


def prepare(config: Config, policy: PolicyConfig, home: Home, manifest: Manifest) -> Prepared:
    """Return the plan for this peer's steps. Does not create a missing home; measurements are then not kept.

    Raises ConfigError, ModelError.
    """
    learning = config.learning
    new_tokens = min(policy.max_new_tokens or manifest.max_new_tokens, manifest.max_new_tokens)
    mix = largest_mix(learning)
    work = Workload(
        own_groups=mix.local,
        external_groups=mix.external,
        group_size=learning.group_size,
        new_tokens=new_tokens,
        images=images_expected(manifest),
        reference=learning.kl_coefficient > 0,
        values=policy_algorithm(learning, new_tokens).with_values,
        beside_bytes=memory_of_judges(manifest, learning),
    )
    return prepare_plan(
        policy,
        work,
        train_tokens=learning.token_budget,
        rates_cache=home.rates_path if home.path.is_dir() else None,
        remembered=home.budgets_path,
    )


def _seed(seed: int, peer_id: str) -> int:
    """Return a 64-bit seed that differs between peers even if their configured seeds do not."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{peer_id}".encode()).digest()[:8], "big")
