"""Where a model's files are: the embedded model's, a directory's, or those of a hub id."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ModelError
from swarmd.model.hub import CONFIGURATION, FILES, fetch_snapshot
from swarmd.model.smollm2 import smollm2_config
from swarmd.model.third_party import third_party
from swarmd.model_names import HUB_ID, NAMES, SMOLLM2

ADAPTER = "adapter_config.json"


def locate(name: str, files: tuple[str, ...] = FILES) -> Path:
    """The directory that holds the model `name`, with `files` at least. Raises ModelError."""
    if name == "embedded":
        return EMBEDDED_MODEL_DIR
    path = Path(name).expanduser()
    if _is_directory(path, name):
        _refuse_adapter(path)
        return path
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        snapshot = fetch_snapshot(name, files)
        _refuse_adapter(snapshot)
        return snapshot
    raise ModelError(f"unknown model {name!r}: neither a directory nor a hub id; {NAMES}")


def is_hub_id(name: str) -> bool:
    """Whether `name` is looked for on the hub: it is no directory, and no model that comes with a package."""
    return HUB_ID.fullmatch(name) is not None and not _is_directory(Path(name).expanduser(), name)


def _refuse_adapter(path: Path) -> None:
    """Raises ModelError for a directory that peft wrote: its base is elsewhere, if anywhere."""
    adapter = path / ADAPTER
    if not adapter.is_file():
        return
    # Beside a model, transformers would add the adapter to it and freeze everything else.
    alone = "" if (path / CONFIGURATION).is_file() else " and no model"
    try:
        base = json.loads(adapter.read_text()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    raise ModelError(
        f"{path} holds an adapter{alone}: merge it into its base {base or ''} with peft's "
        "merge_and_unload, save that, and give the new directory as --model"
    )


def _is_directory(path: Path, name: str) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # no permission to look there, or no name a directory could have
        raise ModelError(f"model {name[:100]!r} cannot be read: {error.strerror}; {NAMES}") from error


def absolute_name(name: str, trained: object = None) -> str:
    """`name` as it is found from any directory; a hub id and the like as they are.

    `trained` is the absolute name in a checkpoint: a relative one that is not here is meant to be that.
    Raises ModelError.
    """
    if name == "embedded":
        return name
    path = Path(name).expanduser()
    if _is_directory(path, name):
        return str(path.absolute())
    meant = Path(trained) if isinstance(trained, str) else None
    if meant is not None and not path.is_absolute() and meant.parts[-len(path.parts) :] == path.parts:
        return str(meant)
    return name


def read_configuration(name: str) -> PretrainedConfig:
    """The configuration of the model `name`, before gigabytes come over the network.

    Raises ModelError: unknown or unreachable model, or one that transformers does not know.
    """
    if name == SMOLLM2:
        return smollm2_config()
    path = locate(name, (CONFIGURATION,))
    if not (path / CONFIGURATION).is_file():
        raise ModelError(f"{path} holds no model: {CONFIGURATION} is missing")
    with third_party(name, f"reading {CONFIGURATION}", "copy or download the model again"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        return config
