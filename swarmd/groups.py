"""A group: one question, several completions of it, and what each was worth.

The unit that a peer generates, verifies, stores, draws and learns from. Plain values, without tensors or I/O.
Rewards were given by this peer's own verifier or judges, whoever wrote the completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from swarmd.images import Images

REWARD_RESOLUTION = 1e-6  # rewards travel as millionths; smaller differences are rounding


class Sampled(Protocol):
    """The part of a policy's sample that is needed."""

    @property
    def text(self) -> str: ...
    @property
    def finished(self) -> bool: ...
    @property
    def token_ids(self) -> tuple[int, ...]: ...
    @property
    def logprobs(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Turn:
    """What a policy wrote before one observation, and the observation, which nobody trains on.

    The fields are those of `ScoredCompletion`, whose own text is the last turn.
    """

    text: str
    finished: bool
    observation: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    behaviour_logprob_sum: float | None = None
    token_count: int | None = None

    @classmethod
    def from_sample(cls, sample: Sampled, observation: str = "") -> Turn:
        """An own turn as it was sampled, and what the environment said to it."""
        return cls(
            text=sample.text,
            finished=sample.finished,
            observation=observation,
            token_ids=sample.token_ids,
            logprobs=sample.logprobs,
            behaviour_logprob_sum=sum(sample.logprobs),
            token_count=len(sample.token_ids),
        )


@dataclass(frozen=True)
class ScoredCompletion:
    """One completion with its reward in [0, 1]: one turn, or the last of several.

    Own completions carry the sampled tokens and their log-probabilities (nats, at the sampling temperature).
    External ones are text. Their publisher's sum of log-probabilities and token count are hints and may be
    lies.
    """

    text: str
    reward: float
    finished: bool
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    behaviour_logprob_sum: float | None = None
    token_count: int | None = None
    bare: bool = False
    """External completions only: whether the answer holds nothing that its writer could have left out."""
    earlier: tuple[Turn, ...] = ()
    """The turns before this one, each with the observation that followed it."""
    claimed: float | None = None
    """Own completions only: what a record says that it is worth. None if that is the reward."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns in their order; the last has no observation."""
        last = Turn(
            self.text,
            self.finished,
            "",
            self.token_ids,
            self.logprobs,
            self.behaviour_logprob_sum,
            self.token_count,
        )
        return (*self.earlier, last)

    @classmethod
    def from_turns(cls, turns: Sequence[Turn], reward: float, *, bare: bool = False) -> ScoredCompletion:
        """A completion of these turns, at least one."""
        last = turns[-1]
        return cls(
            text=last.text,
            reward=reward,
            finished=last.finished,
            token_ids=last.token_ids,
            logprobs=last.logprobs,
            behaviour_logprob_sum=last.behaviour_logprob_sum,
            token_count=last.token_count,
            bare=bare,
            earlier=tuple(turns[:-1]),
        )

    @classmethod
    def from_sample(cls, sample: Sampled, reward: float) -> ScoredCompletion:
        """An own completion of one turn as it was sampled, with the verifier's reward."""
        return cls.from_turns((Turn.from_sample(sample),), reward)


@dataclass(frozen=True)
class ScoredGroup:
    """A question and its completions by one policy: the paper's C(q), scored here.

    `round` and `step` are the publisher's. `digest` is that of its record; None if it was never published.
    """

    publisher: str
    task_id: bytes
    task_name: str
    question: str
    completions: tuple[ScoredCompletion, ...]
    round: int
    step: int
    model: str
    tokenizer: bytes
    digest: bytes | None
    external: bool
    images: Images = ()
    """What the question shows. No record holds them: this peer drew them itself."""
    confidence: float = 1.0
    """How sure this peer's judges are of its rewards, 0..1; 1 where a verifier gave them."""
    work: float | None = None
    """Own groups only: what it made this policy read (`swarmd.learning.reading`)."""

    @property
    def rewards(self) -> tuple[float, ...]:
        """One reward per completion, in their order."""
        return tuple(c.reward for c in self.completions)

    @property
    def mean_reward(self) -> float:
        """The group's pass rate where rewards are 0 or 1."""
        return sum(self.rewards) / len(self.completions)

    @property
    def is_judged(self) -> bool:
        """Whether a verifier or a judge gave the rewards. If not, they are 0 and say nothing about the
        answers."""
        return self.confidence > 0

    @property
    def is_informative(self) -> bool:
        """Whether the rewards differ. If they do not, every advantage is zero."""
        return max(self.rewards) - min(self.rewards) > REWARD_RESOLUTION / 2

    @property
    def is_all_right(self) -> bool:
        """Whether every completion is wholly right. Its writer learns nothing from it, but who fails at its
        task may."""
        return min(self.rewards) > 1 - REWARD_RESOLUTION / 2

    @property
    def can_teach(self) -> bool:
        """Whether another peer may learn from it: from the difference of its rewards, or from its answers."""
        return self.is_judged and (self.is_informative or self.is_all_right)

    @property
    def has_bare_answer(self) -> bool:
        """Whether a right completion, or one above the mean, has a bare answer; no other external group
        teaches."""
        above = self.mean_reward if self.is_informative else 0.0
        return any(c.bare and c.reward > above for c in self.completions)
