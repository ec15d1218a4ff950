"""Experiments: many peers on one machine, round by round, with everything recorded and compared.

Nodes run the same code as a daemon: learning, sampling, records and verification (`step`). They have no
network and no clock, unless the nodes are daemons.
"""

from typing import TYPE_CHECKING

from swarmd.lazy import at_first_use

if TYPE_CHECKING:
    from swarmd.experiment.config import Arm, ExperimentConfig
    from swarmd.experiment.reading import read_experiment
    from swarmd.experiment.rounds import Watcher
    from swarmd.experiment.run import Experiment
    from swarmd.experiment.schedule import RunSpec

__all__ = ["Arm", "Experiment", "ExperimentConfig", "RunSpec", "Watcher", "read_experiment"]

__getattr__ = at_first_use(
    __name__,
    {
        "Arm": "config",
        "Experiment": "run",
        "ExperimentConfig": "config",
        "RunSpec": "schedule",
        "Watcher": "rounds",
        "read_experiment": "reading",
    },
)
"""A run needs torch, which takes seconds to load; a report does not."""
