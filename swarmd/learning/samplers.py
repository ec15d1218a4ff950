"""Chooses the external groups that a step trains on: one small interface and three samplers."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from swarmd.config import LearningConfig
from swarmd.groups import ScoredGroup
from swarmd.images import Images
from swarmd.learning.advantages import shared_baseline

AGE_SCALE_S = 100.0  # a third of a record's life of 300 s; at its end, a group's weight is one twentieth
LEARNABILITY_MIN = 0.25  # a task family that is never solved here (p = 0) is where other peers help most
SURPRISAL_WIDTH = 0.5  # nats per byte; arXiv 2512.02556 drops bad text that is 0.5 nats per token less likely
PEER_SHARE_MAX = 0.25  # of a draw, so one peer's habits or lies are at most a quarter of what is learned


def group_sampler(config: LearningConfig) -> GroupSampler:
    """The sampler named by `config.sampler`."""
    match config.sampler:
        case "uniform":
            return UniformSampler()
        case "scored":
            return ScoredSampler()
        case "need":
            return NeedSampler()


# The interface ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DrawContext:
    """What this peer knows at the time of the draw. Keys missing in a mapping are unknown."""

    round: int
    """The swarm's current round."""
    round_seconds: float
    success: Mapping[bytes, float] = field(default_factory=dict)
    """This peer's own recent mean reward by task id, in [0, 1]."""
    own_surprisal: float | None = None
    """Nats per byte of its own completions under the policy that sampled them."""
    surprisal: Mapping[str, float] = field(default_factory=dict)
    """By publisher: nats per byte of its text under this peer's policy."""
    trust: Mapping[str, float] = field(default_factory=dict)
    """By publisher, in [0, 1]: 0 means ignored, 1 fully trusted."""


class GroupSampler(Protocol):
    """Chooses groups from the pool."""

    def draw(
        self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random, context: DrawContext
    ) -> list[ScoredGroup]:
        """At most `count` different groups; fewer if not enough are worth training on."""
        ...

    def weights(self, candidates: Sequence[ScoredGroup], context: DrawContext) -> list[float]:
        """How strongly each candidate is preferred, in order; 0 for those that are never drawn."""
        ...


# The paper's --------------------------------------------------------------------------------------


class UniformSampler:
    """The paper's rule (arXiv 2509.08721): drop groups that teach nothing, then draw uniformly without
    replacement."""

    def draw(
        self,
        candidates: Sequence[ScoredGroup],
        count: int,
        rng: random.Random,
        context: DrawContext,  # noqa: ARG002  the rule uses none of it
    ) -> list[ScoredGroup]:
        teaching = [group for group in candidates if group.can_teach]
        return rng.sample(teaching, min(count, len(teaching)))

    def weights(self, candidates: Sequence[ScoredGroup], context: DrawContext) -> list[float]:  # noqa: ARG002
        """1 for groups that teach."""
        return [float(group.can_teach) for group in candidates]


# By need ------------------------------------------------------------------------------------------


class NeedSampler:
    """Prefers what this peer cannot do and other peers can.

    Draws without replacement. A group's probability is proportional to the trust in its publisher, and to the
    mean of its positive advantages with the baseline of `shared_advantages`. A family of unknown success
    counts as one that this peer fails at.
    """

    def draw(
        self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random, context: DrawContext
    ) -> list[ScoredGroup]:
        keyed = sorted(
            (rng.expovariate(1.0) / weight, index)
            for index, weight in enumerate(self.weights(candidates, context))
            if weight > 0
        )
        return [candidates[index] for _, index in keyed[:count]]

    def weights(self, candidates: Sequence[ScoredGroup], context: DrawContext) -> list[float]:
        """The need of each candidate."""
        return [need(group, context) for group in candidates]


def need(group: ScoredGroup, context: DrawContext) -> float:
    """How strongly `group` would pull this peer's policy, at least 0."""
    baseline, deviation = shared_baseline(group.rewards, context.success.get(group.task_id, 0.0))
    if not (group.can_teach and deviation):
        return 0.0
    pull = sum(max(0.0, reward - baseline) for reward in group.rewards) / len(group.rewards) / deviation
    return pull * _trust(group.publisher, context)


# By score -----------------------------------------------------------------------------------------

Question = tuple[bytes, str, Images]
"""Task id, text and images."""


@dataclass(frozen=True)
class ScoredSampler:
    """Prefers groups that this peer can learn from: likely to teach, fresh, similar to its own text, and
    diverse.

    Draws without replacement. A group's probability is proportional to the product of

    - spread ** `spread_power`: the group's mean |R - mean R|. It is not divided by the standard deviation,
      which would make partial credit of a hundredth count as much as a solved question;
    - max(4 p (1 - p), `learnability_min`): p is this peer's own success on the task family (ExGRPO, arXiv
      2510.02245, prefers half-solved questions);
    - exp(-age / `age_scale_s`);
    - exp(-(l - l*)^2 / 2 sigma^2): l is the surprisal of the publisher's text here, l* that of this peer's
      own text, and sigma is `surprisal_width`. l is per publisher, because each step measures that anyway;
      measuring every candidate would cost a pass through the model each;
    - the trust in the publisher;
    - how sure this peer's judges are of the group's rewards (reward-guided sharing, which arXiv 2509.08721
      names as future work);
    - 1 / (1 + the trust in all other peers with the same question) / (the publisher's own groups for it):
      peers share a question's weight, a publisher that repeats itself only divides its own part, and ignored
      publishers take nothing.

    An unknown p, l, l* or trust counts as 1, so that untested groups are tested. From one peer come at most
    `peer_share_max` of the draw, rounded down, or an even share if fewer peers offer groups, but always at
    least one group. If that leaves too few groups, the draw is short rather than one-sided.
    """

    spread_power: float = 1.0
    learnability_min: float = LEARNABILITY_MIN
    age_scale_s: float = AGE_SCALE_S
    surprisal_width: float = SURPRISAL_WIDTH
    peer_share_max: float = PEER_SHARE_MAX

    def draw(
        self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random, context: DrawContext
    ) -> list[ScoredGroup]:
        # Exponential variables divided by weights: the smallest is a weighted draw, and the k smallest are k
        # draws without replacement (Efraimidis and Spirakis 2006). This equals Gumbel top-k on log weights.
        keyed = sorted(
            (rng.expovariate(1.0) / weight, index)
            for index, weight in enumerate(self.weights(candidates, context))
            if weight > 0
        )
        shuffled = [candidates[index] for _, index in keyed]
        room = self._most_from_one(count, len({group.publisher for group in shuffled}))
        drawn: list[ScoredGroup] = []
        taken: Counter[str] = Counter()
        for group in shuffled:
            if len(drawn) == count:
                break
            if taken[group.publisher] < room:
                taken[group.publisher] += 1
                drawn.append(group)
        return drawn

    def weights(self, candidates: Sequence[ScoredGroup], context: DrawContext) -> list[float]:
        """One weight per candidate, in order; 0 for groups that teach nothing."""
        asked = _times_asked(candidates)
        return [
            self._weight(group, context) / _alike(group, asked, context) if group.is_informative else 0.0
            for group in candidates
        ]

    def _weight(self, group: ScoredGroup, context: DrawContext) -> float:
        age_s = max(0, context.round - group.round) * context.round_seconds
        return (
            math.pow(_spread(group), self.spread_power)
            * self._learnability(context.success.get(group.task_id))
            * math.exp(-age_s / self.age_scale_s)
            * self._nearness(context.surprisal.get(group.publisher), context.own_surprisal)
            * _trust(group.publisher, context)
            * group.confidence
        )

    def _learnability(self, success: float | None) -> float:
        return 1.0 if success is None else max(4 * success * (1 - success), self.learnability_min)

    def _nearness(self, surprisal: float | None, own: float | None) -> float:
        if surprisal is None or own is None:
            return 1.0
        return math.exp(-0.5 * ((surprisal - own) / self.surprisal_width) ** 2)

    def _most_from_one(self, count: int, peers: int) -> int:
        even = math.ceil(count / peers) if peers else 0
        return max(1, math.floor(count * self.peer_share_max), even)


def _times_asked(candidates: Sequence[ScoredGroup]) -> dict[Question, Counter[str]]:
    """How many informative candidates each publisher has for each question."""
    asked: defaultdict[Question, Counter[str]] = defaultdict(Counter)
    for group in candidates:
        if group.is_informative:
            asked[group.task_id, group.question, group.images][group.publisher] += 1
    return asked


def _alike(group: ScoredGroup, asked: Mapping[Question, Counter[str]], context: DrawContext) -> float:
    """The divisor that accounts for other groups with the same question, at least 1.

    It counts publishers rather than groups: a publisher chooses its questions, so it could copy another
    peer's question and repeat it until the original is never drawn.
    """
    by_publisher = asked[group.task_id, group.question, group.images]
    others = sum(_trust(peer, context) for peer in by_publisher if peer != group.publisher)
    return by_publisher[group.publisher] * (1 + others)


def _trust(peer: str, context: DrawContext) -> float:
    return context.trust.get(peer, 1.0)


def _spread(group: ScoredGroup) -> float:
    """Mean distance of the rewards from their mean, in [0, 0.5]."""
    mean = group.mean_reward
    return sum(abs(reward - mean) for reward in group.rewards) / len(group.rewards)
