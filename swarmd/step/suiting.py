"""Chooses a model that suits a swarm: one with sight if its tasks show images, otherwise one without.

For sources that are not built in, it is unknown whether they show images until questions are generated. The
policy then raises an error when it is asked.
"""

from __future__ import annotations

from protocol import Manifest
from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.model_names import EMBEDDED_VISUAL
from swarmd.policy import Policy
from swarmd.tasks.source import BUILT_IN

WITH_IMAGES = frozenset({"pictures"})
"""Built-in sources that show images."""


def shows_images(manifest: Manifest) -> bool | None:
    """Whether any of the swarm's tasks shows images; None if this is not known yet."""
    sources = {task.source for task in manifest.tasks}
    if sources & WITH_IMAGES:
        return True
    return False if sources <= BUILT_IN.keys() else None


def with_default_model(config: PolicyConfig, manifest: Manifest) -> PolicyConfig:
    """`config` with the embedded model that suits this swarm, unless the operator chose a model."""
    if "model" in config.model_fields_set or not shows_images(manifest):
        return config
    return config.model_copy(update={"model": EMBEDDED_VISUAL})


def require_suitable(policy: Policy, manifest: Manifest) -> None:
    """Raise ModelError if the swarm shows images to a model without sight, or the reverse."""
    shows, sight = shows_images(manifest), policy.tokenizer.sight
    if shows and sight is None:
        raise ModelError(
            f"the swarm {manifest.name} asks about images, but {policy.family} sees none: remove --model "
            f"for {EMBEDDED_VISUAL}, or choose a vision model (docs/models.md)"
        )
    if shows is False and sight is not None and not sight.kind.also_text:
        raise ModelError(
            f"the swarm {manifest.name} shows no images, but {policy.family} is a vision model: remove "
            "--model for the embedded text model, choose another, or join --swarm visual"
        )
