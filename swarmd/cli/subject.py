"""Which weights a command means: the newest of a home, a given checkpoint, or a published model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from swarmd import model_names
from swarmd.cli.foresight import require_weights
from swarmd.config import PolicyConfig, load_config
from swarmd.errors import StorageError
from swarmd.storage import Home

if TYPE_CHECKING:
    from torch import Tensor

    from protocol import Manifest
    from swarmd.policy import Policy
    from swarmd.storage import Checkpoint

UNTRAINED = "untrained"


@dataclass(frozen=True)
class Subject:
    """A policy and the origin of its weights: the checkpoint's directory, or UNTRAINED at step 0."""

    policy: Policy
    model: str
    weights: str
    step: int
    former: Mapping[str, Tensor] | None = None
    """The weights that the trained ones replaced, in main memory. None if not kept, or if nothing is trained.
    """

    @property
    def head(self) -> str:
        """Heading of its answers if there are others."""
        return UNTRAINED if self.weights == UNTRAINED else f"step {self.step}"

    @contextmanager
    def untrained(self) -> Iterator[None]:
        """Give the policy its former weights for the length of the block; a second model on the device would
        need as much memory again. Raises ValueError if they were not kept.
        """
        if self.former is None:
            raise ValueError("the former weights were not kept")
        trained = self.policy.trainable_state()
        self.policy.load_trainable_state(self.former)
        try:
            yield
        finally:
            self.policy.load_trainable_state(trained)

    def __str__(self) -> str:
        return f"{self.model}, " + (
            self.weights if self.weights == UNTRAINED else f"step {self.step} ({self.weights})"
        )


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    home: Path
    home_typed: bool
    """False if `home` comes from the environment or is the default."""
    checkpoint: Path | None
    settings: dict[str, Any]
    """Nested as in config.toml."""

    @property
    def is_published_model(self) -> bool:
        """Whether to use a model without trained weights: --model with neither --home nor --checkpoint."""
        named = "model" in self.settings.get("policy", {})
        return named and not self.home_typed and self.checkpoint is None

    def require_home(self) -> None:
        """Raise ConfigError for a wrong setting, or if the home's weights are meant and there is no home.

        Loads nothing heavy.
        """
        policy = load_config(self.home, self.settings).policy
        if self.checkpoint is not None:
            require_weights(self.checkpoint, "--checkpoint")
        elif self.is_published_model:
            model_names.require_plausible(policy.model)
        else:
            Home.existing(self.home)

    def examples(self) -> int | None:
        """Return how many solved examples of the settings the model is shown; None for trained weights, which
        are shown those that they were trained with.
        """
        has_weights = not (self.is_published_model or self.is_untrained())
        return None if has_weights else load_config(self.home, self.settings).policy.examples

    def is_untrained(self) -> bool:
        """Whether the home's weights are meant and it has none. Loads nothing heavy. Raises ConfigError."""
        named = self.checkpoint is not None or self.is_published_model
        return not named and not Home(self.home).has_checkpoints()


def load_subject(
    wanted: Wanted, manifest: Manifest, *, max_new_tokens: int, at_once: int, keep_former: bool = False
) -> Subject:
    """Load the model and its weights for questions of `manifest`. `at_once` is the number of
    answers generated at a time. With `keep_former` the subject can also answer as the untrained model.

    The settings are those of the home. The home is never created or changed, and need not exist unless its
    weights are used. Raises ConfigError, ModelError, StorageError.
    """
    from swarmd.hardware.arrangement import Workload
    from swarmd.policy import load_policy, prepare_plan
    from swarmd.step.suiting import images_expected, shows_images, with_default_model
    from swarmd.step.trained_on import examples_of, locate_base, with_model_of

    home = Home(wanted.home)
    config = load_config(home.path, wanted.settings)
    checkpoint = find_checkpoint(wanted, home, config.storage.checkpoints_kept)
    policy_config = _policy_config(config.policy, checkpoint, wanted)
    if checkpoint is None:
        policy_config = with_default_model(policy_config, manifest)
    policy_config = with_model_of(policy_config, checkpoint)
    work = Workload(
        own_groups=at_once,
        external_groups=0,
        group_size=1,
        new_tokens=min(policy_config.max_new_tokens or max_new_tokens, max_new_tokens),
        images=images_expected(manifest),
        training=False,
    )
    plan = prepare_plan(policy_config, work, rates_cache=home.rates_path, only_reads=True).plan
    located, _ = locate_base(plan, checkpoint)
    policy = load_policy(
        policy_config,
        plan,
        max_new_tokens=max_new_tokens,
        located=located,
        training=False,
        sees=shows_images(manifest) is not False,
    )
    policy.examples = examples_of(checkpoint)
    if checkpoint is None:
        return Subject(policy, plan.model, UNTRAINED, 0)
    former = policy.trainable_state() if keep_former else None
    policy.load_trainable_state(checkpoint.tensors)
    return Subject(policy, plan.model, str(checkpoint.path), checkpoint.step, former)


def _policy_config(config: PolicyConfig, checkpoint: Checkpoint | None, wanted: Wanted) -> PolicyConfig:
    """Return `config`, completed by what the weights were trained with. For a checkpoint named on the command
    line, its settings override the home's, which apply to the home's own weights.
    """
    trained = saved_settings(checkpoint)
    if wanted.checkpoint is None:
        return config.completed_by(trained)
    flags = wanted.settings.get("policy", {})
    return PolicyConfig.model_validate({**config.model_dump(exclude_unset=True), **trained, **flags})


def saved_settings(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Return the policy settings that the weights were trained with. Weights of an earlier version name
    none, or leave out what was empty.
    """
    saved = None if checkpoint is None else checkpoint.state.get("policy")
    return {"stop": [], "template_args": {}, **saved} if isinstance(saved, dict) else {}


def find_checkpoint(wanted: Wanted, home: Home, kept: int) -> Checkpoint | None:
    """Return the named checkpoint, else the home's newest. None for a published model and for a home without
    one.

    Raises ConfigError if there is no such home, StorageError.
    """
    if wanted.checkpoint is not None:
        return _named(wanted.checkpoint)
    if wanted.is_published_model:
        return None
    from swarmd.storage import Checkpoints

    return Checkpoints(Home.existing(home.path).checkpoints_path, kept).load_latest(_warn)


def _named(path: Path) -> Checkpoint:
    """Return the checkpoint in the directory `path`, or next to the file `path`. Only its weights must be
    whole.
    """
    from swarmd.storage.checkpoint_files import CorruptCheckpointError, salvage

    directory = (path if path.is_dir() else path.parent).absolute()
    try:
        salvaged = salvage(directory)
    except CorruptCheckpointError as problem:
        raise StorageError(
            f"--checkpoint {path}: there are no whole weights ({problem}): give a directory such as "
            "HOME/checkpoints/00000004-step-40"
        ) from problem
    if salvaged.lost:
        lost = "; ".join(salvaged.lost)
        _warn(f"{directory} is damaged, but its weights are whole and are used; lost: {lost}")
    return salvaged.checkpoint


def _warn(problem: str) -> None:
    typer.echo(f"warning: {problem}", err=True)
