"""Nodes' success on held-out questions, which are the same for all nodes and runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import Manifest
from swarmd.experiment.describing import held_out_line
from swarmd.experiment.journal import Line
from swarmd.experiment.seeding import HELD_OUT
from swarmd.policy import Policy
from swarmd.step.evaluation import evaluate
from swarmd.step.playing import in_this_thread
from swarmd.tasks import Question, TaskRunner, held_out_questions


@dataclass
class Exam:
    """`count` questions of all tasks of the manifest, made when they are first needed."""

    manifest: Manifest
    tasks: TaskRunner
    count: int
    _questions: list[Question] = field(default_factory=list)

    async def line(self, rounds: int, node: int, policy: Policy) -> Line:
        """The line about a node's policy after `rounds` rounds. Raises TaskError, ModelError."""
        if not self._questions:
            self._questions = await held_out_questions(self.tasks, self.manifest.tasks, HELD_OUT, self.count)
        found = await evaluate(
            policy, self.tasks, self._questions, manifest=self.manifest, in_model_thread=in_this_thread
        )
        return held_out_line(rounds, node, found)
