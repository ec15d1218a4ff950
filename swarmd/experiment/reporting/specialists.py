"""Nodes that start out good at some tasks: held-out success on these, and on the tasks foreign to them.

Pure. Every task counts the same, whatever number of questions it has, and so does every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmd.experiment.reporting.results import Array, HeldOut


@dataclass(frozen=True)
class Split:
    """Mean over nodes of the success on their own tasks and on the others. [evaluations] each."""

    own: Array
    foreign: Array


def split(held_out: HeldOut, specialities: Sequence[Sequence[str]]) -> Split:
    """`specialities` has one list of task names a node; each node has at least one task and lacks one.

    NaN where nothing was asked of a node's tasks: not every task has held-out questions.
    """
    asked, nothing = held_out.tasks.items(), [np.full(len(held_out.rounds), np.nan)]
    own, foreign = [], []
    for node, tasks in enumerate(specialities):
        own.append([success[:, node] for name, success in asked if name in tasks] or nothing)
        foreign.append([success[:, node] for name, success in asked if name not in tasks] or nothing)
    return Split(_mean(own), _mean(foreign))


def _mean(nodes: Sequence[Sequence[Array]]) -> Array:
    means: Array = np.mean([np.mean(tasks, axis=0) for tasks in nodes], axis=0)
    return means
