"""Records in a checkpoint what it was trained on, and reads it back to load the same model."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, JsonValue, TypeAdapter, ValidationError

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.images import why_no_images
from swarmd.model import Base, Located, Watch, absolute_name, locate
from swarmd.storage import Checkpoint
from swarmd.tasks import Example


def _within_limits(example: Example) -> Example:
    why = why_no_images(example.images)
    if why is not None:
        raise ValueError(why)
    return example


_EXAMPLES = TypeAdapter(
    tuple[Annotated[Example, AfterValidator(_within_limits)], ...],
    config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"),
)


def how_it_is_asked(config: PolicyConfig) -> dict[str, JsonValue]:
    """The settings needed to load the weights again, and those that shaped the prompts and endings in
    training."""
    return {
        "model": config.model,
        "lora_rank": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "stop": list(config.stop),
        "template_args": dict(config.template_args),
    }


def examples_state(examples: tuple[Example, ...]) -> JsonValue:
    """The solved questions as a checkpoint stores them, with pixels in Base64."""
    state: JsonValue = _EXAMPLES.dump_python(examples, mode="json")
    return state


def examples_of(checkpoint: Checkpoint | None) -> tuple[Example, ...]:
    """The solved questions that preceded every question during training. Raises ConfigError."""
    saved = None if checkpoint is None else checkpoint.state.get("examples")
    try:
        return _EXAMPLES.validate_json(json.dumps(saved or ()))
    except ValidationError as error:
        raise ConfigError(
            f"the examples in the checkpoint {checkpoint and checkpoint.path} are not solved questions: "
            "run `swarmd check` to find damaged files"
        ) from error


def with_model_of(config: PolicyConfig, checkpoint: Checkpoint | None) -> PolicyConfig:
    """`config` with a model name that is valid from any directory. A relative name that does not exist here
    is resolved to the checkpoint's model. Raises ModelError."""
    trained = None if checkpoint is None else checkpoint.state.get("policy")
    known = trained.get("model") if isinstance(trained, dict) else None
    return config.model_copy(update={"model": absolute_name(config.model, known)})


def locate_base(
    plan: HardwarePlan, checkpoint: Checkpoint | None, watch: Watch | None = None
) -> tuple[Located, Base | None]:
    """The files of the planned model, and the base of its adapter; None if all weights are trained.

    Downloads a hub model, reporting progress to `watch`. Raises ModelError, also if the checkpoint's adapter
    was trained on a different base, and ConfigError if it was trained with a different alpha.
    """
    located = locate(plan.model, watch=watch)
    if plan.lora is None:
        return located, None
    base = Base.of(located)
    if checkpoint is not None:
        base.require_same(checkpoint.state.get("base"), checkpoint.path)
        _require_same_scale(plan.lora, checkpoint)
    return located, base


def _require_same_scale(lora: LoraPlan, checkpoint: Checkpoint) -> None:
    """Raise ConfigError if another alpha would scale the saved adapter differently than in training. Its rank
    shows in the shapes of its weights."""
    trained = checkpoint.state.get("policy")
    alpha = trained.get("lora_alpha") if isinstance(trained, dict) else None
    if alpha not in (None, lora.alpha):
        raise ConfigError(
            f"the adapter in {checkpoint.path} was trained with alpha={alpha}, but alpha={lora.alpha} was "
            "requested, which would scale it differently: remove --lora, or choose another --home"
        )
