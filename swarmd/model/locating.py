"""Locates a model's files: those of an embedded model, a directory or a hub id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from swarmd.assets import EMBEDDED_MODELS
from swarmd.errors import ModelError
from swarmd.model.adapter_start import ADAPTER_CONFIGURATION, MERGE, AdapterStart, read_adapter
from swarmd.model.download import Watch
from swarmd.model.hub import CONFIGURATION, FILES, fetch_snapshot
from swarmd.model.sight import PREPROCESSOR, PROCESSOR
from swarmd.model.smollm2 import smollm2_config
from swarmd.model.third_party import third_party
from swarmd.model_names import HUB_ID, NAMES, SMOLLM2
from swarmd.quoting import PATH_CHARS_MAX, quoted
from swarmd.user_paths import path_of

TO_PLAN = (CONFIGURATION, ADAPTER_CONFIGURATION, PREPROCESSOR, PROCESSOR)
"""The files that determine a model's size, read before gigabytes are downloaded."""


@dataclass(frozen=True)
class Located:
    """A model on this disk."""

    base: str
    """The name of the model without an adapter, valid from any directory."""
    folder: Path | None
    """Its files; None for SMOLLM2, whose package has another format."""
    adapter: AdapterStart | None = None
    """The adapter that training starts with."""


def locate(name: str, files: tuple[str, ...] = FILES, watch: Watch | None = None) -> Located:
    """The model that `--model name` refers to, with at least `files`. Raises ModelError.

    `watch` receives the progress of a download.
    """
    if name == SMOLLM2:
        return Located(name, None)
    folder = _folder(name, files, watch)
    adapter = read_adapter(folder)
    if adapter is None:
        return Located(absolute_name(name), folder)
    base = _base_name(adapter)
    try:
        base_folder = None if base == SMOLLM2 else _folder(base, files, watch, adapter.revision)
    except ModelError as error:
        raise ModelError(
            f"the adapter in {folder} belongs to the base {quoted(base)}, which is not found ({error}): "
            f"put it there, or correct base_model_name_or_path or revision in {ADAPTER_CONFIGURATION}"
        ) from error
    if base_folder is not None and (base_folder / ADAPTER_CONFIGURATION).is_file():
        raise ModelError(f"the adapter in {folder} belongs to another adapter, {quoted(base)}: {MERGE}")
    return Located(base, base_folder, adapter)


def _base_name(adapter: AdapterStart) -> str:
    """The base's name. A path may be relative to the adapter's directory, or, as in peft, to the current
    one."""
    beside = adapter.folder / adapter.base
    return str(beside.resolve()) if _is_directory(beside, adapter.base) else absolute_name(adapter.base)


def _folder(name: str, files: tuple[str, ...], watch: Watch | None, revision: str | None = None) -> Path:
    """The directory of `name`. Only a hub model has revisions; a directory is used as it is."""
    if name in EMBEDDED_MODELS:
        return EMBEDDED_MODELS[name]
    path = path_of(name)
    if _is_directory(path, name):
        return path
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        return fetch_snapshot(name, files, watch, revision)
    raise ModelError(
        f"unknown model {quoted(name, PATH_CHARS_MAX)}: neither a directory nor a hub id; {NAMES}"
    )


def is_hub_id(name: str) -> bool:
    """Whether `name` refers to the hub: not to a directory, and not to a model that comes with a package."""
    return HUB_ID.fullmatch(name) is not None and not _is_directory(path_of(name), name)


def _is_directory(path: Path, name: str) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # no permission, or not a valid directory name
        raise ModelError(
            f"model {quoted(name, PATH_CHARS_MAX)} cannot be read: {error.strerror}; {NAMES}"
        ) from error


def absolute_name(name: str, trained: object = None) -> str:
    """`name` in a form that is valid from any directory. Hub ids and embedded models are unchanged.

    `trained` is the absolute name in a checkpoint. A relative name that does not exist here is resolved to
    it. Raises ModelError.
    """
    if name in EMBEDDED_MODELS:
        return name
    path = path_of(name)
    if _is_directory(path, name):
        return str(path.absolute())
    meant = Path(trained) if isinstance(trained, str) else None
    if meant is not None and not path.is_absolute() and meant.parts[-len(path.parts) :] == path.parts:
        return str(meant)
    return name


def read_configuration(located: Located) -> PretrainedConfig:
    """The configuration of a model located with at least `TO_PLAN`.

    Raises ModelError if transformers does not know it.
    """
    path = located.folder
    if path is None:
        return smollm2_config()
    if not (path / CONFIGURATION).is_file():
        raise ModelError(f"{path} contains no model: {CONFIGURATION} is missing")
    with third_party(located.base, f"reading {CONFIGURATION}", "copy or download the model again"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        return config
