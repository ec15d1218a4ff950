"""Compares several peers' answers to the same question: three published rules.

They need something that a swarm of strangers does not do: all peers are asked the same questions, and each
peer gets the answers of all others. Experiments do this (`swarmd.experiment`). Groups in which every answer
is wrong are not published. But a peer that was asked and published nothing was wrong throughout, so its
rewards count as zeros.

Pure: groups in, advantages out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from swarmd.config import LearningConfig
from swarmd.groups import REWARD_RESOLUTION, ScoredGroup
from swarmd.images import Images
from swarmd.learning.advantages import STD_EPSILON, group_advantages

RATIO_MAX = 10.0  # of two capabilities, in either direction (arXiv 2603.02604v2)
CAPABILITY_MIN = 1e-8  # so that two peers that never succeeded count as equal

Question = tuple[bytes, str, Images]
"""Task id, text and images."""
Capability = Mapping[str, float]
"""Recent mean reward by publisher, including this peer."""


@dataclass(frozen=True)
class Compared:
    """What a step learns from groups with the same questions."""

    external: Sequence[ScoredGroup]
    """The parts of other peers' groups that are trained on."""
    advantages: Callable[[ScoredGroup], Tensor]
    """Maps an own or external group of G completions to advantages [G]."""


class SameQuestion(Protocol):
    """A rule for comparing groups with the same questions."""

    def __call__(
        self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup], capability: Capability
    ) -> Compared:
        """Compare the groups. External groups whose question is not in `own` teach nothing."""
        ...


def same_question(config: LearningConfig) -> SameQuestion | None:
    """The rule named by `config.external_baseline`; None for a baseline that needs no common questions."""
    match config.external_baseline:
        case "xgrpo":
            return Xgrpo(config.external // config.local)
        case "sgt":
            return Sgt()
        case "hacpo":
            return Hacpo(config.external // config.local)
        case _:
            return None


# The rules ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Xgrpo:
    """Own answers against everyone's: advantages are shared, text is not (XGRPO, arXiv 2605.07244).

    A = (R - mean) / (std + eps), with mean and std over all peers' rewards for the question. No peer trains
    on other peers' text. So if a peer's own answers are all wrong but other peers can do the question, it is
    pushed away from what it wrote.

    We have the paper's abstract and its author's description, but not its equations: peers' rewards influence
    the baseline, and the policy trains on its own text. Giving all rewards equal weight is our guess.
    """

    others: int
    """Number of other peers that were asked."""

    def __call__(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        capability: Capability,  # noqa: ARG002  all peers count equally
    ) -> Compared:
        asked = _by_question(own, external)
        found: dict[int, Tensor] = {}
        for group in own:
            everybodys = _everybodys(group, asked[_question(group)], self.others)
            found[id(group)] = group_advantages(everybodys)[: len(group.completions)]
        return Compared((), lambda group: found[id(group)])


@dataclass(frozen=True)
class Sgt:
    """Other peers' right answers, only if all own ones failed (success-gated transfer, arXiv 2605.07244).

    Own groups have their own baseline. For a question without a right own answer, where Y are the right
    answers of other peers: L += -(lambda / |Y|) sum over Y of log pi(y) / |y|, averaged over the questions
    asked.

    lambda is `external_coefficient`. We know the form from a summary; we do not know the paper's lambda, or
    whether it averages over questions in this way. Our version differs: a token of Y has the weight that it
    would have if all texts were equally long, because losses here are averages over all tokens of a step.
    """

    def __call__(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        capability: Capability,  # noqa: ARG002  only correctness matters
    ) -> Compared:
        found = {id(group): group_advantages(_rewards(group)) for group in own}
        questions = {_question(group) for group in own}
        solved = {_question(group) for group in own if any(map(_is_right, group.rewards))}
        failed = [group for group in own if _question(group) not in solved]
        asked = _by_question(failed, external)
        right = {question: list(filter(None, map(_right_only, groups))) for question, groups in asked.items()}
        counts = {q: sum(len(group.completions) for group in groups) for q, groups in right.items()}
        for question, groups in right.items():
            for group in groups:
                weight = sum(counts.values()) / counts[question] / len(questions)
                found[id(group)] = torch.full((len(group.completions),), weight, dtype=torch.float64)
        taught = [group for groups in right.values() for group in groups]
        return Compared(taught, lambda group: found[id(group)])


@dataclass(frozen=True)
class Hacpo:
    """Everyone's answers, with a baseline that accounts for each peer's ability (HACPO, arXiv 2603.02604).

    For peer k, w(k, j) = P(k) / P(j) in [0.1, 10], where P is a peer's recent mean reward:

        m = mean over all peers j and their answers of w(k, j) R,  A = (R - m) / (std of all R + eps)

    The advantages of peer j's answers are w(j, k) A: able peers count more, weak ones less (equations 5 to
    10). The advantage is 0 if all rewards are equal. If m exceeds 1, which no reward does, it is replaced by
    the mean of own rewards, as in the authors' code. In the paper, own answers have GSPO's loss; external
    answers have `external.NearImportance`.

    Our version differs: P is the mean over about `experience.MEMORY` rounds, the paper's over the last five.
    Answers of groups that are wrong throughout count in m but are not trained on, because they are not
    published. Own and external losses are averaged separately.
    """

    others: int
    """Number of other peers that were asked."""

    def __call__(
        self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup], capability: Capability
    ) -> Compared:
        asked = _by_question(own, external)
        found: dict[int, Tensor] = {}
        for group in own:
            others = asked[_question(group)]
            everybodys = _everybodys(group, others, self.others)
            baseline = self._baseline(group, others, len(everybodys), capability)
            deviation = float(everybodys.std()) + STD_EPSILON
            is_equal = torch.equal(everybodys.min(), everybodys.max())
            for each in (group, *others):
                weight = 0.0 if is_equal else _ratio(each.publisher, group.publisher, capability)
                found[id(each)] = weight * (_rewards(each) - baseline) / deviation
        taught = [group for groups in asked.values() for group in groups]
        return Compared(taught, lambda group: found[id(group)])

    def _baseline(
        self, own: ScoredGroup, others: Sequence[ScoredGroup], answers: int, capability: Capability
    ) -> float:
        weighted = (
            _ratio(own.publisher, each.publisher, capability) * sum(each.rewards) for each in (own, *others)
        )
        baseline = sum(weighted) / answers
        return baseline if baseline <= 1 else own.mean_reward


# What they share ----------------------------------------------------------------------------------


def _ratio(one: str, other: str, capability: Capability) -> float:
    able = (max(capability.get(peer, 0.0), CAPABILITY_MIN) for peer in (one, other))
    quotient = next(able) / next(able)
    return min(max(quotient, 1 / RATIO_MAX), RATIO_MAX)


def _question(group: ScoredGroup) -> Question:
    return group.task_id, group.question, group.images


def _by_question(
    own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]
) -> dict[Question, list[ScoredGroup]]:
    """Question of `own` -> other peers' groups for it, the first of each publisher."""
    found: dict[Question, dict[str, ScoredGroup]] = {_question(group): {} for group in own}
    for group in external:
        if (question := _question(group)) in found:
            found[question].setdefault(group.publisher, group)
    return {question: list(groups.values()) for question, groups in found.items()}


def _everybodys(own: ScoredGroup, others: Sequence[ScoredGroup], asked: int) -> Tensor:
    """Rewards of own answers, then of external ones, then zeros for those of `asked` peers that published
    none."""
    silent = max(0, asked - len(others)) * len(own.completions)
    sent = [reward for group in others for reward in group.rewards]
    return torch.tensor([*own.rewards, *sent, *[0.0] * silent], dtype=torch.float64)


def _rewards(group: ScoredGroup) -> Tensor:
    return torch.tensor(group.rewards, dtype=torch.float64)


def _is_right(reward: float) -> bool:
    return reward > 1 - REWARD_RESOLUTION / 2


def _right_only(group: ScoredGroup) -> ScoredGroup | None:
    right = tuple(completion for completion in group.completions if _is_right(completion.reward))
    return replace(group, completions=right) if right else None
