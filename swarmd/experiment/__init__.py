"""Experiments: many peers on one machine, round by round, with everything written down and compared.

Nodes run the same code as a daemon: learning, sampling, records and verification (`step`). They have no
network and no clock, unless the nodes are daemons.
"""

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.reading import read_experiment
from swarmd.experiment.rounds import Watcher
from swarmd.experiment.run import Experiment
from swarmd.experiment.schedule import RunSpec

__all__ = ["Arm", "Experiment", "ExperimentConfig", "RunSpec", "Watcher", "read_experiment"]
