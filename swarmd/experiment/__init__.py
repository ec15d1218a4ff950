"""Experiments: many peers on one machine, round by round, with everything written down and compared.

It runs the daemon's own learning, sampling, record and verification code; without network and clock, unless
the nodes are daemons.
"""

from swarmd.experiment.config import Arm, ExperimentConfig
from swarmd.experiment.reading import read_experiment
from swarmd.experiment.rounds import Watcher
from swarmd.experiment.run import Experiment
from swarmd.experiment.schedule import RunSpec

__all__ = ["Arm", "Experiment", "ExperimentConfig", "RunSpec", "Watcher", "read_experiment"]
