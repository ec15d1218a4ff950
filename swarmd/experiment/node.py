"""One peer of an experiment: a step, split in two at the point where a synchronous round has its exchange.

Policy, trainer, questions, scores, records and draws use the same code as the daemon. Missing are the effects
of network, clock and disk on a peer. It computes in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from protocol import KeyPair, Manifest, PeerId
from swarmd.config import LearningConfig
from swarmd.experiment.config import Arm
from swarmd.experiment.metering import Meter, Phase, Spent, added
from swarmd.experiment.replay import Replay
from swarmd.experiment.round_groups import OthersGroups, sign_groups
from swarmd.groups import ScoredGroup
from swarmd.judges import Panel
from swarmd.learning import GroupSampler, StepMetrics, Trainer
from swarmd.policy import Policy, Sample
from swarmd.step.drawing import draw_external, draw_studied
from swarmd.step.mixing import choose_mix
from swarmd.step.own_groups import own_group, own_questions
from swarmd.step.playing import Episode, in_this_thread, play, score
from swarmd.step.progress import Progress
from swarmd.tasks import Question, TaskRunner, TrainingDraw


@dataclass(frozen=True)
class Sampled:
    """What a node generated in a round."""

    groups: tuple[ScoredGroup, ...]
    """All groups, in the order of generation."""
    asked: tuple[ScoredGroup, ...]
    """The first I groups, whether they teach or not. The policy's reward is measured on these. If more are
    generated until enough teach, the mean over all would be too high, because generation stops after lucky
    groups.
    """
    training: tuple[ScoredGroup, ...]
    """What it trains on: all groups, or those that teach; including groups of earlier rounds if they are
    replayed.
    """
    envelopes: tuple[bytes, ...]
    """Signed records of the groups that teach, for the other nodes."""
    tokens: int
    decoding_steps: int
    """Tokens of the longest text, summed over the calls to the model, one for each turn."""
    ended: int
    """Completions whose last turn was not cut off."""
    unscored: int
    """Completions on which the scorer failed; they count as wrong."""
    truth: float | None = None
    """Mean of the verifiers' rewards on all groups of judged tasks; None if no task was judged."""
    spent: Mapping[Phase, Spent] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """What a node learned in a round."""

    metrics: StepMetrics
    external: tuple[ScoredGroup, ...]
    wanted: int
    """How many external groups it asked for."""
    spent: Spent


class Node:
    """A peer between rounds; its checkpoint holds `policy`, `trainer` and `progress`."""

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
        learning: LearningConfig,
        panel: Panel,
        asks_as: PeerId,
    ) -> None:
        """`own_tasks` is the manifest reduced to the tasks that this node trains on. `asks_as`: whose
        questions it is asked, its own or those of all nodes.
        """
        self.peer_id: PeerId = key.peer_id
        self._key = key
        self.policy = policy
        self.trainer = trainer
        self.progress = progress
        self._manifest = manifest
        self._sampler = sampler
        self._tasks = tasks
        self._arm = arm
        self._learning = learning
        self.panel = panel
        self.replay = Replay(arm.replay_rounds or 0, arm.replay_uses or 0)
        self._meter = Meter(tasks)
        self._mix = choose_mix(learning)
        self._draw = TrainingDraw(own_tasks, asks_as, 0)

    async def sample(self, round_: int) -> Sampled:
        """Generate and score this round's own groups. Raises TaskError, ModelError."""
        self._mix = choose_mix(self._learning, self.progress.experience.teaching_share)
        sampled = await self._generate(self._mix.local, round_)
        if self._arm.kind == "filtered_solo":
            sampled = await self._replace(sampled, round_)
        elif self._arm.kind == "replay_solo":
            replayed = self.replay.fill(sampled.groups, self._arm.local, round_)
            sampled = replace(sampled, training=(*sampled.groups, *replayed))
        self.progress.experience.see_own(sampled.groups)
        return sampled

    async def _replace(self, first: Sampled, round_: int) -> Sampled:
        """Generate more groups to replace those that teach nothing, up to `generated_max` in all."""
        most, wanted, sampled = self._arm.generated_max or 0, self._arm.local, first
        while (missing := wanted - _informative(sampled.groups)) > 0 and len(sampled.groups) < most:
            sampled = _joined(sampled, await self._generate(min(missing, most - len(sampled.groups)), round_))
        teaching = [group for group in sampled.groups if group.is_informative]
        return replace(sampled, training=tuple(teaching[:wanted]))

    async def _generate(self, count: int, round_: int) -> Sampled:
        self._meter.begin()
        questions = await own_questions(
            self._draw,
            self._tasks,
            self.policy,
            count,
            progress=self.progress,
            needed=self._learning.needed_questions,
        )
        asking = self._meter.lap()
        episodes, decoding_steps = await self._write_completions(questions)
        generating = self._meter.lap()
        verified = await score(self._tasks, questions, episodes)
        written = [[episode.written for episode in group] for group in episodes]
        scores = await self.panel.judge_own(questions, written, verified)
        groups = tuple(
            own_group(
                question,
                group,
                row,
                manifest=self._manifest,
                policy=self.policy,
                publisher=self.peer_id,
                round_=round_,
                step=self.progress.step,
                unended=self._learning.unended,
            )
            for question, group, row in zip(questions, episodes, scores, strict=True)
        )
        scoring = self._meter.lap()
        envelopes = self._sign(questions, groups, round_) if self._arm.external else ()
        completions = [episode for group in episodes for episode in group]
        return Sampled(
            groups=groups,
            asked=groups,
            training=groups,
            envelopes=envelopes,
            tokens=sum(len(sample.token_ids) for episode in completions for sample in episode.samples),
            decoding_steps=decoding_steps,
            ended=sum(self.policy.has_ended(episode.samples[-1]) for episode in completions),
            unscored=sum(each.failure is not None for row in scores for each in row),
            truth=_mean([each.truth for row in scores for each in row if each.truth is not None]),
            spent={
                "questions": asking,
                "generating": generating,
                "scoring": scoring,
                "publishing": self._meter.lap(),
            },
        )

    def _sign(
        self, questions: Sequence[Question], groups: Sequence[ScoredGroup], round_: int
    ) -> tuple[bytes, ...]:
        return sign_groups(
            self._key,
            self._manifest,
            questions,
            groups,
            round_=round_,
            temperature=self.policy.temperature,
            even_all_right=self._learning.takes_all_right,
        )

    async def _write_completions(
        self, questions: Sequence[Question]
    ) -> tuple[list[list[Episode[Sample]]], int]:
        """Return the completions of each question, and the decoding steps that they took."""
        decoding_steps = 0

        def sample(prompts: Sequence[Sequence[int]], num_completions: int) -> list[list[Sample]]:
            nonlocal decoding_steps
            written = self.policy.generate(prompts, num_completions, rng=self.progress.sampling_rng)
            decoding_steps += max(len(each.token_ids) for row in written for each in row)
            return written

        episodes = await play(
            questions,
            self._learning.group_size,
            sample,
            tasks=self._tasks,
            policy=self.policy,
            in_model_thread=in_this_thread,
        )
        return episodes, decoding_steps

    def learn(self, own: Sequence[ScoredGroup], others: OthersGroups, round_: int) -> Trained:
        """Take one update on `own` and on groups drawn from `others`. Raises ModelError."""
        self._meter.begin()
        progress, wanted = self.progress, self._mix.wanted(own)
        if self._arm.external:
            others.vote(self.panel)
        studied = draw_studied(
            self._learning.study_updates_at(self.trainer.steps),
            manifest=self._manifest,
            exchange=others,
            progress=progress,
        )
        drawn = draw_external(
            wanted,
            round_=round_,
            manifest=self._manifest,
            pool=others,
            sampler=self._sampler,
            exchange=others,
            progress=progress,
            bare_only=self._learning.external_tokens == "verified" and not self._learning.asks_the_same,
            spread_only=not self._learning.takes_all_right,
            rehearse=0 if studied else self._learning.rehearse,
            watch=self._learning.needed_questions > 0,
        )
        if self._learning.asks_the_same:
            progress.experience.see_everybody(own, drawn.groups)
        metrics = self.trainer.step(
            own,
            drawn.groups,
            progress.experience.success,
            drawn.lessons,
            studied=studied,
            own_work=progress.experience.own_work,
            capability=progress.experience.capability,
        )
        progress.see_step(metrics, own, drawn.groups, studies=self._learning.study > 0)
        return Trained(metrics, tuple(drawn.groups), wanted, self._meter.lap())


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _informative(groups: Sequence[ScoredGroup]) -> int:
    return sum(group.is_informative for group in groups)


def _joined(first: Sampled, more: Sampled) -> Sampled:
    return Sampled(
        groups=first.groups + more.groups,
        asked=first.asked,
        training=first.training + more.training,
        envelopes=first.envelopes + more.envelopes,
        tokens=first.tokens + more.tokens,
        decoding_steps=first.decoding_steps + more.decoding_steps,
        ended=first.ended + more.ended,
        unscored=first.unscored + more.unscored,
        truth=first.truth,
        spent=added(first.spent, more.spent),
    )
