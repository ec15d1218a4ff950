"""An adapter saved by peft as the start of training: the base it belongs to, and its LoRA settings.

Supports plain LoRA (arXiv 2106.09685) and rsLoRA's scale. Any other setting in `adapter_config.json` is
refused by name, because ignoring it would give different logits than peft.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from swarmd.errors import ModelError
from swarmd.quoting import quoted

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER_CONFIGURATION = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CONFIGURATION_BYTES_MAX = 2**20  # usually a few KiB; some 100 KiB if it names each layer of a large model
RANK_MAX, ALPHA_MAX = 1024, 4096  # the same limits as `policy.lora_rank` and `policy.lora_alpha`
BASE_CHARS_MAX = 4096  # the longest path on Linux
REVISION = r"^\w+((\.|/|-+)\w+)*$"  # a commit, branch or tag, without "..": it is a path in the cache
REVISION_CHARS_MAX = 200  # the longest file name is 255
TOLD_CHARS_MAX = 80  # of a name from someone else's file, in messages
MERGE = (
    "merge it into its base with peft's merge_and_unload, save that, and give the new directory as --model"
)
WITHOUT_EFFECT = frozenset(
    {
        *("auto_mapping", "peft_version", "task_type", "inference_mode"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
        "lora_dropout",  # with dropout, the policy would differ from the one that sampled
    }
)
"""Settings that do not change the logits of a saved adapter."""


class LoraSettings(BaseModel):
    """The settings that determine an adapter's logits, with peft's names."""

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
        """The settings as JSON. Lists are sorted, because peft writes module names in any order."""
        state: dict[str, JsonValue] = self.model_dump()
        return {key: sorted(value) if isinstance(value, list) else value for key, value in state.items()}  # type: ignore[type-var]


class _Saved(LoraSettings):
    """The settings that are required, or restricted to few values."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: Literal["LORA"]
    base_model_name_or_path: str = Field(min_length=1, max_length=BASE_CHARS_MAX)
    revision: str | None = Field(default=None, pattern=REVISION, max_length=REVISION_CHARS_MAX)
    # All other initialisations change the base's weights, so the adapter would need a base that does not
    # exist.
    init_lora_weights: Literal[True, False, "gaussian", "eva", "orthogonal"] = True


@dataclass(frozen=True)
class AdapterStart:
    """An adapter in a directory."""

    folder: Path
    base: str
    """The base model as peft names it: a path, absolute or relative to `folder`, or a hub id."""
    settings: LoraSettings
    revision: str | None = None
    """The commit, branch or tag of a base on the hub; None for the newest."""

    @property
    def weights(self) -> Path:
        """The file with its weights."""
        return self.folder / ADAPTER_WEIGHTS

    def lora_config(self) -> LoraConfig:
        """The peft configuration for adapters of the same shape and scale."""
        from peft import LoraConfig, TaskType

        return LoraConfig(task_type=TaskType.CAUSAL_LM, lora_dropout=0.0, **self.settings.model_dump())


def read_adapter(folder: Path) -> AdapterStart | None:
    """The adapter in `folder`; None if there is none. Raises ModelError if it cannot be trained.

    Reads only its configuration, because the weights may not be on this disk yet.
    """
    path = folder / ADAPTER_CONFIGURATION
    if not path.is_file():
        return None
    if any(file.name != ADAPTER_WEIGHTS for file in folder.glob("*.safetensors")):
        # transformers would silently add the adapter to the model and freeze everything else.
        raise ModelError(
            f"{folder} contains a model and an adapter: move {ADAPTER_CONFIGURATION} and {ADAPTER_WEIGHTS} "
            "to a directory of their own, and give one of the two as --model"
        )
    try:
        if path.stat().st_size > CONFIGURATION_BYTES_MAX:
            raise ModelError(f"{path} is larger than {CONFIGURATION_BYTES_MAX} bytes: copy it again")
        saved = _Saved.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelError(f"the adapter in {folder} cannot be trained: {_why(error)}: {MERGE}") from error
    from peft import LoraConfig

    for name, value in (saved.model_extra or {}).items():
        if value and name not in WITHOUT_EFFECT and value != getattr(LoraConfig(), name, None):
            raise ModelError(
                f"the adapter in {folder} cannot be trained: {quoted(name)} is not supported: {MERGE}"
            )
    settings = LoraSettings.model_validate(saved.model_dump())
    return AdapterStart(folder, saved.base_model_name_or_path, settings, saved.revision)


def _why(error: ValidationError) -> str:
    """One error, in a few words. A wrong kind of adapter comes before settings that this kind lacks."""
    found: list[Any] = error.errors(include_url=False)
    first = min(found, key=lambda each: each["loc"] != ("peft_type",))
    name = ".".join(map(str, first["loc"][:1])) or ADAPTER_CONFIGURATION
    no_value = first["type"] in ("missing", "json_invalid")
    got = "" if no_value else f" (got {quoted(str(first['input']))})"
    return f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}{got}"
