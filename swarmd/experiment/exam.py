"""Nodes' success on held-out questions, which are the same for all nodes and runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol import Manifest
from swarmd.experiment.describing import held_out_line
from swarmd.experiment.journal import Line
from swarmd.experiment.seeding import HELD_OUT
from swarmd.judges import Panel
from swarmd.policy import Policy
from swarmd.step.evaluation import Evaluation, evaluate
from swarmd.step.playing import in_this_thread
from swarmd.tasks import Question, TaskRunner, held_out_questions


@dataclass
class Exam:
    """`count` questions over all tasks of the manifest, generated on first use."""

    manifest: Manifest
    tasks: TaskRunner
    count: int
    panel: Panel | None = None
    """Judges whose opinion of the answers is recorded next to the truth."""
    _questions: list[Question] = field(default_factory=list)

    async def line(self, rounds: int, node: int, policy: Policy) -> Line:
        """Return the line about a node's policy after `rounds` rounds. Raises TaskError, ModelError."""
        if not self._questions:
            self._questions = await held_out_questions(self.tasks, self.manifest.tasks, HELD_OUT, self.count)
        found = await evaluate(
            policy, self.tasks, self._questions, manifest=self.manifest, in_model_thread=in_this_thread
        )
        return held_out_line(rounds, node, found, await self._judged(found))

    async def _judged(self, found: Evaluation) -> float | None:
        """Return the mean reward of the model judges, over the answers that they judged. Agreement is left
        out: held-out questions have no votes.
        """
        panel = self.panel
        if panel is None:
            return None
        scores = [
            (await panel.measure(each.question, each.written, each.scores))[0]
            for each in found.answered
            if each.written and panel.models_of(each.question.spec.task_id)
        ]
        rewards = [score.reward for score in scores if score.confidence]
        return sum(rewards) / len(rewards) if rewards else None
