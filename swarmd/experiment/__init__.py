"""Experiments: many peers on one machine, round by round, with everything written down and compared.

Nodes run the same code as a daemon: learning, sampling, records and verification (`step`). They have no
network and no clock, unless the nodes are daemons.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmd.experiment.config import Arm, ExperimentConfig
    from swarmd.experiment.reading import read_experiment
    from swarmd.experiment.rounds import Watcher
    from swarmd.experiment.run import Experiment
    from swarmd.experiment.schedule import RunSpec

__all__ = ["Arm", "Experiment", "ExperimentConfig", "RunSpec", "Watcher", "read_experiment"]

_MODULES = {
    "Arm": "config",
    "Experiment": "run",
    "ExperimentConfig": "config",
    "RunSpec": "schedule",
    "Watcher": "rounds",
    "read_experiment": "reading",
}


def __getattr__(name: str) -> object:
    """Imported at first use: a run needs torch, which takes seconds to load, and a report does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"swarmd.experiment.{_MODULES[name]}"), name)
