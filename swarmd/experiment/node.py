"""One peer of an experiment: a step, cut in two where a synchronous round has its exchange.

Policy, trainer, questions, scores, records and draws are the same code as in the daemon. What is missing is
what the network, the clock and the disk do to a peer. It computes in the caller's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from protocol import KeyPair, Manifest, PeerId
from swarmd.experiment.config import Arm
from swarmd.experiment.round_groups import OthersGroups, sign_groups
from swarmd.groups import ScoredGroup
from swarmd.learning import GroupSampler, StepMetrics, Trainer
from swarmd.policy import Policy
from swarmd.step.drawing import draw_external
from swarmd.step.own_groups import fitting_questions, own_group
from swarmd.step.progress import Progress
from swarmd.tasks import TaskRunner, TrainingDraw

Timer = Callable[[], float]


@dataclass(frozen=True)
class Sampled:
    """What a node generated in a round."""

    groups: tuple[ScoredGroup, ...]
    """All of them, in the order of generation."""
    asked: tuple[ScoredGroup, ...]
    """The first I of them, whether they teach or not. The policy's reward is measured on these. If more are
    generated until enough teach, the mean over all is too high, because generation stops when it is lucky."""
    training: tuple[ScoredGroup, ...]
    """Those of them that it trains on."""
    envelopes: tuple[bytes, ...]
    """Signed records of those that teach, for others."""
    tokens: int
    unscored: int
    """Completions on which the scorer failed; they count as wrong."""
    generating_s: float
    scoring_s: float


@dataclass(frozen=True)
class Trained:
    """What a node learned in a round."""

    metrics: StepMetrics
    external: tuple[ScoredGroup, ...]
    training_s: float


class Node:
    """A peer between rounds; `policy`, `trainer` and `progress` are what a checkpoint of it holds."""

    def __init__(
        self,
        key: KeyPair,
        *,
        manifest: Manifest,
        own_tasks: Manifest,
        policy: Policy,
        trainer: Trainer,
        sampler: GroupSampler,
        progress: Progress,
        tasks: TaskRunner,
        arm: Arm,
        group_size: int,
        verified_only: bool = False,
        spread_only: bool = False,
        rehearse: int = 0,
        timer: Timer = time.perf_counter,
    ) -> None:
        """`own_tasks` is the manifest reduced to the tasks that this node trains on. `verified_only`: of
        others' text, train only on what was verified. `spread_only`: of others' groups, draw only those whose
        rewards differ. `rehearse`: the most lessons per step."""
        self.peer_id: PeerId = key.peer_id
        self._key = key
        self.policy = policy
        self.trainer = trainer
        self.progress = progress
        self._manifest = manifest
        self._sampler = sampler
        self._tasks = tasks
        self._arm = arm
        self._group_size = group_size
        self._verified_only = verified_only
        self._spread_only = spread_only
        self._rehearse = rehearse
        self._timer = timer
        self._draw = TrainingDraw(own_tasks, key.peer_id, 0)

    async def sample(self, round_: int) -> Sampled:
        """Generate and score this round's own groups. Raises TaskError, ModelError."""
        first = await self._generate(self._arm.local, round_)
        sampled = first if self._arm.kind == "sharing" else await self._replace(first, round_)
        self.progress.experience.see_own(sampled.groups)
        return sampled

    async def _replace(self, first: Sampled, round_: int) -> Sampled:
        """Generate more groups instead of those that teach nothing, up to `generated_max` in all."""
        most, wanted, sampled = self._arm.generated_max or 0, self._arm.local, first
        while (missing := wanted - _informative(sampled.groups)) > 0 and len(sampled.groups) < most:
            sampled = _joined(sampled, await self._generate(min(missing, most - len(sampled.groups)), round_))
        teaching = [group for group in sampled.groups if group.is_informative]
        return replace(sampled, training=tuple(teaching[:wanted]))

    async def _generate(self, count: int, round_: int) -> Sampled:
        self._draw.counter = self.progress.questions_drawn
        questions = await fitting_questions(self._draw, self._tasks, self.policy, count)
        self.progress.questions_drawn = self._draw.counter
        began = self._timer()
        samples = self.policy.generate(
            [self.policy.render(question.text) for question in questions],
            self._group_size,
            rng=self.progress.sampling_rng,
        )
        generated = self._timer()
        texts = [[sample.text for sample in group] for group in samples]
        scores = await self._tasks.score(list(zip([q.spec for q in questions], texts, strict=True)))
        groups = tuple(
            own_group(
                question,
                group,
                [score.reward for score in row],
                manifest=self._manifest,
                policy=self.policy,
                publisher=self.peer_id,
                round_=round_,
                step=self.progress.step,
            )
            for question, group, row in zip(questions, samples, scores, strict=True)
        )
        return Sampled(
            groups=groups,
            asked=groups,
            training=groups,
            envelopes=sign_groups(
                self._key,
                self._manifest,
                questions,
                groups,
                round_=round_,
                temperature=self.policy.temperature,
                even_all_right=not self._spread_only,
            )
            if self._arm.external
            else (),
            tokens=sum(len(sample.token_ids) for group in samples for sample in group),
            unscored=sum(score.failure is not None for row in scores for score in row),
            generating_s=generated - began,
            scoring_s=self._timer() - generated,
        )

    def learn(self, own: Sequence[ScoredGroup], others: OthersGroups, round_: int) -> Trained:
        """One update on `own` and on J groups drawn from `others`. Raises ModelError."""
        began, progress = self._timer(), self.progress
        drawn = draw_external(
            self._arm.external,
            round_=round_,
            manifest=self._manifest,
            pool=others,
            sampler=self._sampler,
            exchange=others,
            progress=progress,
            bare_only=self._verified_only,
            spread_only=self._spread_only,
            rehearse=self._rehearse,
        )
        metrics = self.trainer.step(own, drawn.groups, progress.experience.success, drawn.lessons)
        progress.see_step(metrics, own, drawn.groups)
        return Trained(metrics, tuple(drawn.groups), self._timer() - began)


def _informative(groups: Sequence[ScoredGroup]) -> int:
    return sum(group.is_informative for group in groups)


def _joined(first: Sampled, more: Sampled) -> Sampled:
    return Sampled(
        groups=first.groups + more.groups,
        asked=first.asked,
        training=first.training + more.training,
        envelopes=first.envelopes + more.envelopes,
        tokens=first.tokens + more.tokens,
        unscored=first.unscored + more.unscored,
        generating_s=first.generating_s + more.generating_s,
        scoring_s=first.scoring_s + more.scoring_s,
    )
