"""From a TOML file to an `ExperimentConfig`, with errors that name the file, the line and the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from protocol import Manifest
from swarmd.config import LearningConfig, PolicyConfig, explained
from swarmd.errors import ConfigError
from swarmd.experiment.attacks import Attack
from swarmd.experiment.config import JUDGES, PER_CONFIGURATION, TASK_LISTS, Arm, ExperimentConfig
from swarmd.quoting import quoted
from swarmd.tasks import load_manifest
from swarmd.toml_files import parse_toml, read_toml
from swarmd.toml_lines import line_of
from swarmd.user_paths import looking_at

FILE_BYTES_MAX = 2**20  # an experiment is a screen or two; anything above 1 MiB is a different file
HERE = ("./", "../")  # prefixes of a model name that is a folder

Key = Sequence[str | int]


def read_experiment(
    path: Path, *, seeds: int | None = None, exchange: str | None = None, model: str | None = None
) -> tuple[ExperimentConfig, Manifest]:
    """Read the experiment in `path` and the tasks it names; `seeds`, `exchange` and `model` override the
    file.

    A manifest file and model folders are resolved relative to the experiment's file; `model` is relative to
    the working directory. Raises ConfigError for anything that could not run as written, and TaskError if a
    task of a manifest cannot be tested.
    """
    text, table = _read(path)
    given = {name: value for name, value in (("seeds", seeds), ("exchange", exchange)) if value is not None}
    place = _Place(path, text)
    try:
        config = ExperimentConfig.model_validate({**table, **given})
    except ValidationError as error:
        raise place.explain(error, ()) from None
    if model is not None and config.models:
        raise place.error(
            ("models",), "names one model per node, but --model is one for all: leave out --model"
        )
    _check_learning(config, place)
    manifest = _manifest_of(config.swarm, path.parent, place)
    _check_against(manifest, config, place)
    config = _with_folders_from(path.parent, config)
    return (config if model is None else _with_model(model, config)), manifest


def _manifest_of(swarm: str, folder: Path, place: _Place) -> Manifest:
    local = folder / swarm
    try:
        with looking_at(swarm):
            is_local = local.is_file()
        if not is_local:
            return load_manifest(swarm)
    except ConfigError as error:
        raise place.error(("swarm",), str(error)) from error
    return load_manifest(str(local))  # an error names this file


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = read_toml(path, bytes_max=FILE_BYTES_MAX, kind="an experiment")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; name an experiment file") from error
    return text, parse_toml(str(path), text)


class _Place:
    """Turns a problem into a ConfigError that says where it is."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def error(self, key: Key, message: str) -> ConfigError:
        name = f"{'.'.join(map(str, key))}: " if key else ""
        return ConfigError(f"{self._path}, line {line_of(self._text, key)}: {name}{message}")

    def explain(self, error: ValidationError, prefix: Key) -> ConfigError:
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        return self.error((*prefix, *first["loc"]), _message(first, (*prefix, *first["loc"])))


def _message(detail: ErrorDetails, key: Key) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] != "extra_forbidden":
        return explained(detail)
    known = sorted(_slice_at(key).model_fields)
    near = get_close_matches(str(key[-1]), known, n=1)
    return "unknown key; " + (f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(known)}")


def _slice_at(key: Key) -> type[BaseModel]:
    """Return the table that the last part of `key` belongs to."""
    tables: Mapping[str | int, type[BaseModel]] = {"policy": PolicyConfig, "learning": LearningConfig}
    if len(key) > 1 and key[-2] in tables:
        return tables[key[-2]]
    listed: Mapping[str | int, type[BaseModel]] = {"configurations": Arm, "attacks": Attack}
    return listed.get(key[0], ExperimentConfig)


def _check_learning(config: ExperimentConfig, place: _Place) -> None:
    """Check that every configuration gives valid settings, at every rate."""
    for index, arm in enumerate(config.configurations):
        for source, at in ((config.learning, ()), (arm.learning, ("configurations", index))):
            for name in PER_CONFIGURATION:
                if name in source:
                    wanted = "learning_rates" if name == "learning_rate" else f"configurations.{name}"
                    raise place.error((*at, "learning", name), f"is set as {wanted}")
        for name in JUDGES:
            if name in arm.learning:
                message = "judges are the same for all configurations: set it in [learning]"
                raise place.error(("configurations", index, "learning", name), message)
        for rate in config.rates_of(arm):
            try:
                learning = config.learning_of(arm, rate)
            except ValidationError as error:
                name = str(next(iter(error.errors()[0]["loc"]), ""))
                raise place.explain(error, _table_of(name, index, arm)) from None
            if learning.study and learning.study_from >= config.rounds_of(arm):
                raise place.error(
                    (*_table_of("study_from", index, arm), "study_from"),
                    f"is {learning.study_from}, but {arm.label} has {config.rounds_of(arm)} rounds, counted "
                    "from 0: lower study_from, or raise rounds",
                )


def _table_of(name: str, index: int, arm: Arm) -> Key:
    """Return the [learning] that sets `name` for a configuration: its own, or that of all."""
    return ("configurations", index, "learning") if name in arm.learning else ("learning",)


def _check_against(manifest: Manifest, config: ExperimentConfig, place: _Place) -> None:
    """Check that the named tasks exist, and that a round has room for what is published."""
    names = [task.name for task in manifest.tasks]
    for key in TASK_LISTS:
        for node, tasks in enumerate(getattr(config, key)):
            for name in tasks:
                if name not in names:
                    raise place.error(
                        (key,), f"node {node}: {quoted(name)} is not one of the tasks {', '.join(names)}"
                    )
    _check_specialities(names, config, place)
    for index, arm in enumerate(config.configurations):
        if arm.external and arm.local > manifest.records_per_round_max:
            raise place.error(
                ("configurations", index, "local"),
                f"a peer of the swarm {manifest.name} may publish {manifest.records_per_round_max} groups "
                f"per round, but local is {arm.local}",
            )
        if arm.attackers and (strange := {task.source for task in manifest.tasks} - {"reasoning_gym"}):
            raise place.error(
                ("configurations", index, "attackers"),
                f"attackers only know right answers of reasoning_gym, not of {', '.join(sorted(strange))}",
            )


def _check_specialities(names: Sequence[str], config: ExperimentConfig, place: _Place) -> None:
    """Check that every node can be asked about its own tasks and about other tasks."""
    for node, tasks in enumerate(config.specialities):
        if set(tasks) == set(names):
            raise place.error(
                ("specialities",), f"node {node} has all tasks of the swarm: leave out at least one"
            )
    if config.specialities and config.held_out_questions < len(names):
        raise place.error(
            ("held_out_questions",), f"specialities are evaluated per task: ask at least {len(names)}"
        )


def _with_folders_from(folder: Path, config: ExperimentConfig) -> ExperimentConfig:
    """Return `config` with models and judges that begin with ./ or ../ as absolute paths from `folder`.

    An experiment therefore finds them next to its file, whatever the working directory is.
    """

    def found(model: str) -> str:
        return str((folder / model).resolve()) if model.startswith(HERE) else model

    learning = {key: found(value) if key in JUDGES else value for key, value in config.learning.items()}
    return config.model_copy(
        update={
            "policy": config.policy.model_copy(update={"model": found(config.policy.model)}),
            "models": tuple(map(found, config.models)),
            "learning": learning,
        }
    )


def _with_model(model: str, config: ExperimentConfig) -> ExperimentConfig:
    """Return `config` with `model` of the command line for all nodes; a folder is relative to the working
    directory.
    """
    policy = config.policy.model_copy(update={"model": model})
    return _with_folders_from(Path.cwd(), config.model_copy(update={"policy": policy}))
