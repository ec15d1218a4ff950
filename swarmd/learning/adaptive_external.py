"""Adaptive J: how many of others' groups a step asks for, by what came of them. Observations in, J out.

J goes down by one when this peer's success fell while others' groups were trained on, or when most of them
were text that this policy would hardly write; it goes up by one when success rose. Looked at once a window of
steps. A J of 0 is a rest of some windows, after which one group is tried again; each further rest is twice as
long, until J has been back at its most.

Whether others' groups were the cause of a change is not known: a peer has no second self without them.
Why so, and what it does on a toy: docs/decisions/0014-adaptive-external.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from swarmd.config import LearningConfig
from swarmd.learning.groups import ScoredGroup

WINDOW = 8  # steps between two looks: by default 256 own completions, on 32 questions
SURE = 2.0  # standard errors that success must move by to count; by chance in about one window of sixteen
UNLIKELY = 2.0  # nats a byte above own text: specialists' right answers are up to 1.3 above each other's
MOSTLY = 0.5  # share of a window's external groups
REST_MIN, REST_MAX = 4, 64  # windows; 32 steps at first, and one group tried in 500 steps at the end


@dataclass(frozen=True)
class Level:
    """A mean success in [0, 1], and the variance of that mean."""

    mean: float
    variance: float


@dataclass(frozen=True)
class AdaptiveExternal:
    """J now, and what it will be decided by. A value: each observation gives the next one."""

    most: int
    """J never is more."""
    external: int
    """J: groups by others that the next step asks for."""
    rewards: tuple[float, ...] = ()
    """Own mean reward of each step of this window."""
    trained: int = 0
    """External groups trained on in this window."""
    unlikely: int = 0
    """Of them, those of text far less likely here than own text."""
    reward_before: Level | None = None
    """Own reward that a window's is compared with: when it last changed, or there last were no others."""
    held_out: Level | None = None
    """Of an evaluation in this window."""
    held_out_before: Level | None = None
    rest: int = REST_MIN
    """Windows that the next rest lasts."""
    resting: int = 0
    """Windows left of this one."""

    @classmethod
    def start(cls, most: int) -> AdaptiveExternal:
        """With all `most` groups: what is not known yet is tried."""
        return cls(most=most, external=most)

    @classmethod
    def configured(cls, config: LearningConfig) -> AdaptiveExternal | None:
        """As `config.adaptive_external` says; None: J is always `config.external`."""
        return cls.start(config.external) if config.adaptive_external else None

    def at_most(self, most: int) -> AdaptiveExternal:
        """The same under another bound, as the configuration of a resumed peer may have it."""
        return replace(self, most=most, external=min(self.external, most))

    @property
    def weight(self) -> float:
        """What the external half of the loss is multiplied by: J as a share of its most.

        That half is a mean over its groups. Without this a J of 1 would pull as hard as any other.
        """
        return self.external / self.most if self.most else 0.0

    def after_step(self, reward_own: float, trained: int, unlikely: int) -> AdaptiveExternal:
        """After a step with this mean own reward and so many external groups (`count_unlikely`)."""
        seen = replace(
            self,
            rewards=(*self.rewards, reward_own),
            trained=self.trained + trained,
            unlikely=self.unlikely + unlikely,
        )
        return seen if len(seen.rewards) < WINDOW else seen._after_window()

    def after_evaluation(self, success: float, questions: int) -> AdaptiveExternal:
        """After an evaluation on questions nobody trains on; this window is judged by it, not by rewards."""
        return replace(self, held_out=Level(success, success * (1 - success) / questions))

    def _after_window(self) -> AdaptiveExternal:
        reward = _level(self.rewards)
        change, reward_before = _compared(self.reward_before, reward)
        held_out_before = self.held_out_before
        if self.held_out is not None:
            change, held_out_before = _compared(held_out_before, self.held_out)
        if self.trained == 0:  # whatever changed, it was not by others' groups
            change, reward_before, held_out_before = 0, reward, self.held_out or held_out_before
        elif change == 0 and self.unlikely > MOSTLY * self.trained:
            change = -1
        return replace(
            self._moved(change),
            rewards=(),
            trained=0,
            unlikely=0,
            reward_before=reward_before,
            held_out=None,
            held_out_before=held_out_before,
        )

    def _moved(self, change: int) -> AdaptiveExternal:
        """J one lower, one higher or as it is, within its bounds; a rest begun, continued or ended."""
        if self.external == 0:
            if self.resting > 1:
                return replace(self, resting=self.resting - 1)
            return replace(self, external=min(1, self.most), resting=0)
        external = max(0, min(self.external + change, self.most))
        if external == 0:
            return replace(self, external=0, resting=self.rest, rest=min(2 * self.rest, REST_MAX))
        return replace(self, external=external, rest=REST_MIN if external == self.most else self.rest)


def count_unlikely(
    external: Sequence[ScoredGroup], surprisal: Mapping[str, float], own_surprisal: float | None
) -> tuple[int, int]:
    """How many of a step's groups were trained on, and how many of those are far from what is written here.

    `surprisal` is by publisher, of the text trained on; both are nats a byte. None: nothing to compare with.
    """
    found = [surprisal[group.publisher] for group in external if group.publisher in surprisal]
    if own_surprisal is None:
        return len(found), 0
    # "not below": a surprisal that overflowed to infinity or NaN is no likely text.
    return len(found), sum(not value <= own_surprisal + UNLIKELY for value in found)


def _level(values: Sequence[float]) -> Level:
    """The mean of a window's values, with the variance that their spread says it has."""
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Level(mean, spread / len(values))


def _compared(before: Level | None, now: Level) -> tuple[int, Level]:
    """1, -1 or 0: risen, fallen, or nothing that chance would not do; and what to compare with next.

    While nothing is sure the older level stays, so that a slow change adds up until it is.
    """
    if before is None:
        return 0, now
    change, error = now.mean - before.mean, sqrt(now.variance + before.variance)
    if abs(change) <= SURE * error:
        return 0, before
    return (1 if change > 0 else -1), now
