"""An adapter that peft saved, as the start of training: which base it belongs to, and its LoRA settings.

Only what LoRA's plain form (arXiv 2106.09685) needs is understood, besides rsLoRA's scale. Everything else
that `adapter_config.json` may set is refused by name, because a setting that is left out would give other
logits than peft gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from swarmd.errors import ModelError

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER_CONFIGURATION = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CONFIGURATION_BYTES_MAX = 2**20  # it has a few KiB; one that names each layer of a large model has some 100
RANK_MAX, ALPHA_MAX = 1024, 4096  # as `policy.lora_rank` and `policy.lora_alpha`
BASE_CHARS_MAX = 4096  # the longest path of Linux
TOLD_CHARS_MAX = 80  # of a name in another's file
MERGE = (
    "merge it into its base with peft's merge_and_unload, save that, and give the new directory as --model"
)
WITHOUT_EFFECT = frozenset(
    {
        *("auto_mapping", "peft_version", "task_type", "inference_mode"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
        "lora_dropout",  # a policy never drops anything out: it would not be the policy that sampled
    }
)
"""Settings that change no logit of an adapter that is already made."""


class LoraSettings(BaseModel):
    """What an adapter's logits follow from, as peft names it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    r: int = Field(ge=1, le=RANK_MAX)
    lora_alpha: int = Field(ge=1, le=ALPHA_MAX)
    use_rslora: bool = False
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    target_parameters: list[str] | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, int] = {}
    fan_in_fan_out: bool = False

    def to_state(self) -> dict[str, JsonValue]:
        """As JSON holds it. peft writes the names of modules in any order."""
        state: dict[str, JsonValue] = self.model_dump()
        return {key: sorted(value) if isinstance(value, list) else value for key, value in state.items()}  # type: ignore[type-var]


class _Saved(LoraSettings):
    """The settings that must be there, or must have one of few values."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: Literal["LORA"]
    base_model_name_or_path: str = Field(min_length=1, max_length=BASE_CHARS_MAX)
    # The other ways to begin change the base's weights, so the adapter belongs to a base that nobody has.
    init_lora_weights: Literal[True, False, "gaussian", "eva", "orthogonal"] = True


@dataclass(frozen=True)
class AdapterStart:
    """An adapter in a directory."""

    folder: Path
    base: str
    """The base model as peft names it: a path, absolute or relative to `folder`, or a hub id."""
    settings: LoraSettings

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.folder / ADAPTER_WEIGHTS

    def lora_config(self) -> LoraConfig:
        """What peft makes adapters of the same shape and scale from."""
        from peft import LoraConfig, TaskType

        return LoraConfig(task_type=TaskType.CAUSAL_LM, lora_dropout=0.0, **self.settings.model_dump())


def read_adapter(folder: Path) -> AdapterStart | None:
    """The adapter in `folder`; None if there is none. Raises ModelError for one that cannot be trained on.

    Only its configuration is read: the weights may not be on this disk yet.
    """
    path = folder / ADAPTER_CONFIGURATION
    if not path.is_file():
        return None
    if any(file.name != ADAPTER_WEIGHTS for file in folder.glob("*.safetensors")):
        # transformers would add the adapter to the model unasked and freeze everything else.
        raise ModelError(
            f"{folder} holds a model and an adapter: move {ADAPTER_CONFIGURATION} and {ADAPTER_WEIGHTS} to a "
            "directory of their own, and give one of the two as --model"
        )
    try:
        if path.stat().st_size > CONFIGURATION_BYTES_MAX:
            raise ModelError(f"{path} is larger than {CONFIGURATION_BYTES_MAX} bytes: copy it again")
        saved = _Saved.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelError(f"the adapter in {folder} cannot be trained on: {_why(error)}: {MERGE}") from error
    from peft import LoraConfig

    for name, value in (saved.model_extra or {}).items():
        if value and name not in WITHOUT_EFFECT and value != getattr(LoraConfig(), name, None):
            raise ModelError(
                f"the adapter in {folder} cannot be trained on: {name[:TOLD_CHARS_MAX]!r} is not supported: "
                f"{MERGE}"
            )
    settings = LoraSettings.model_validate(saved.model_dump())
    return AdapterStart(folder, saved.base_model_name_or_path, settings)


def _why(error: ValidationError) -> str:
    """One thing that is wrong, in a few words: the kind of adapter before what its kind has not."""
    found: list[Any] = error.errors(include_url=False)
    first = min(found, key=lambda each: each["loc"] != ("peft_type",))
    name = ".".join(map(str, first["loc"][:1])) or ADAPTER_CONFIGURATION
    no_value = first["type"] in ("missing", "json_invalid")
    got = "" if no_value else f" (got {str(first['input'])[:TOLD_CHARS_MAX]!r})"
    return f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}{got}"
