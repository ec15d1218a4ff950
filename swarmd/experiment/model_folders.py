"""Models that an experiment names as folders: where they are, and what to do if they are not there."""

from __future__ import annotations

from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.experiment.config import ExperimentConfig

HERE = ("./", "../")


def with_folders_from(folder: Path, config: ExperimentConfig) -> ExperimentConfig:
    """`config` with its models that begin with ./ or ../ looked for from `folder`, as absolute paths.

    So an experiment finds its models beside its file, whatever the working directory is.
    """

    def found(model: str) -> str:
        return str((folder / model).resolve()) if model.startswith(HERE) else model

    policy = config.policy.model_copy(update={"model": found(config.policy.model)})
    return config.model_copy(update={"policy": policy, "models": tuple(map(found, config.models))})


def with_model(model: str, config: ExperimentConfig) -> ExperimentConfig:
    """`config` with `model`, from a command line, for all nodes: a folder is looked for from where we are."""
    policy = config.policy.model_copy(update={"model": model})
    return with_folders_from(Path.cwd(), config.model_copy(update={"policy": policy}))


def check_folders(config: ExperimentConfig) -> None:
    """Raises ConfigError for a folder that is not there. Hub ids and names of models are not looked at."""
    for model in dict.fromkeys(config.policy_of(node).model for node in range(config.nodes)):
        if Path(model).is_absolute() and not Path(model).is_dir():
            key = "models" if config.models else "policy.model"
            raise ConfigError(
                f"{key}: there is no folder {model}: make it first; `python examples/make_base_policies.py` "
                "makes those of the examples, and each example's head says how"
            )
