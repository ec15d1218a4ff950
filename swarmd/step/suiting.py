"""Which model suits a swarm: one that sees where its tasks show images, and one that does not elsewhere.

Of a source that is not built in nobody knows whether it shows images before its questions are made. There a
policy says so when it is asked.
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
    """Whether any of its tasks does; None if nobody can say yet."""
    sources = {task.source for task in manifest.tasks}
    if sources & WITH_IMAGES:
        return True
    return False if sources <= BUILT_IN.keys() else None


def with_default_model(config: PolicyConfig, manifest: Manifest) -> PolicyConfig:
    """`config` with the model that comes with swarmd for this swarm, unless one was named."""
    if "model" in config.model_fields_set or not shows_images(manifest):
        return config
    return config.model_copy(update={"model": EMBEDDED_VISUAL})


def require_suitable(policy: Policy, manifest: Manifest) -> None:
    """Raises ModelError for a model without sight on a swarm that shows images, and the other way round."""
    shows, sees = shows_images(manifest), policy.tokenizer.sight is not None
    if shows and not sees:
        raise ModelError(
            f"the swarm {manifest.name} asks about images, and {policy.family} sees none: leave --model out "
            f"for {EMBEDDED_VISUAL}, or name another model of LLaVA's architecture"
        )
    if shows is False and sees:
        raise ModelError(
            f"the swarm {manifest.name} shows no images, and {policy.family} is a model that sees: leave "
            "--model out for the embedded text model, name another, or join --swarm visual"
        )
