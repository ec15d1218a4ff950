"""Converts scored groups to training rows: what a step's groups can teach, as tokens and advantages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.images import Images, Prompt
from swarmd.learning.algorithms import Denominators
from swarmd.learning.batching import TrainRow
from swarmd.learning.reading import row_work
from swarmd.learning.verified import Standing, standings
from swarmd.logprobs import TokenRow
from swarmd.policy import Policy, PromptTooLongError
from swarmd.tasks import Exchange

CHARACTERS_PER_TOKEN = 4  # of English text, in published tokenizers; only the order of groups depends on it


@dataclass(frozen=True)
class Selection:
    """The rows of a step's own or external groups."""

    rows: tuple[TrainRow, ...]
    denominators: Denominators
    """What the loss of the rows is averaged over."""
    used: tuple[ScoredGroup, ...]
    """Groups that have an advantage and fit."""
    groups_too_long: int
    untaught_tokens: int
    """Tokens in completions with a positive advantage that must not be trained on at all."""
    reencoded_differently: float | None = None
    """For external groups with this tokenizer: share of turns whose number of tokens here differs from the
    publisher's claim."""

    @property
    def groups_used(self) -> int:
        """Number of groups used."""
        return len(self.used)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens in the completions of the rows."""
        return sum(len(row.tokens.completion_ids) for row in self.rows)

    def plus(self, other: Selection) -> Selection:
        """Both combined, as if selected in one call. `reencoded_differently` is this one's."""
        return Selection(
            self.rows + other.rows,
            Denominators(
                self.denominators.completions + other.denominators.completions,
                self.denominators.tokens + other.denominators.tokens,
            ),
            self.used + other.used,
            self.groups_too_long + other.groups_too_long,
            self.untaught_tokens + other.untaught_tokens,
            self.reencoded_differently,
        )


def select_rows(
    policy: Policy,
    groups: Sequence[ScoredGroup],
    *,
    trains_on: Callable[[TrainRow], bool],
    with_equal_rewards: bool = False,
    advantages_of: Callable[[ScoredGroup], Tensor],
    verified_only: bool = False,
    most: float = math.inf,
) -> Selection:
    """Return the rows of all groups that have an advantage and whose question fits the context.

    A row is one turn. Its prompt contains everything before it, so observations are never trained on. All
    turns of a completion have its advantage. A turn is left out if its prompt does not fit here.

    Rows that are not trained on are left out, but count in the denominators. `with_equal_rewards`: also count
    groups without an advantage. `advantages_of`: a group of G completions -> advantages [G]. `verified_only`:
    external rows record which part of the text each of their tokens belongs to.

    `most` limits the total cost of all rows (`learning.reading`). It is shared evenly among groups, shortest
    first; a group's unused share passes to the groups after it. Within a group, the best completions come
    first. Anything beyond the share is neither read nor counted, but advantages are those of the whole group.
    At least one row of each group is read.
    """
    rows: list[TrainRow] = []
    differs: list[float] = []
    used: list[ScoredGroup] = []
    completions = tokens = too_long = untaught = 0
    for ahead, group in enumerate(sorted(groups, key=partial(_length, policy))):
        share = most / (len(groups) - ahead)
        advantages = advantages_of(group).tolist()
        if not (any(advantages) or with_equal_rewards):
            continue
        try:
            prompts = _Prompts(policy, group.question, group.images)
        except PromptTooLongError:
            too_long += 1
            continue
        used.append(group)
        work = 0.0
        for prompt, turn, bare, advantage in prompts.turns(group.completions, advantages):
            row = _row(policy, prompt, turn, advantage, external=group.external)
            more = row_work(
                len(prompt),
                len(row.tokens.completion_ids),
                policy.state_width,
                reads_prompt=work == 0 or prompt is not prompts.first or not policy.shares_prompts,
            )
            if work and work + more > share:
                break
            work += more
            completions += 1
            if group.external:
                same_count = turn.token_count == len(row.tokens.completion_ids)
                if group.tokenizer == policy.tokenizer_fingerprint and turn.token_count is not None:
                    differs.append(not same_count)
                row = replace(
                    row,
                    same_tokens=same_count and group.tokenizer == policy.tokenizer_fingerprint,
                    publisher=group.publisher,
                    standings=_standings(policy, prompt, turn, bare=bare) if verified_only else None,
                )
            tokens += len(row.tokens.completion_ids)
            if not row.teaches:
                untaught += len(row.tokens.completion_ids)
            if row.tokens.completion_ids and row.teaches and trains_on(row):
                rows.append(row)
        most -= work
    denominators = Denominators(completions, tokens)
    return Selection(tuple(rows), denominators, tuple(used), too_long, untaught, _mean(differs))


class _Prompts:
    """The prompts for one question: for the first turn, and for each later turn after what was said before
    it."""

    def __init__(self, policy: Policy, question: str, images: Images) -> None:
        """Raises PromptTooLongError if the question alone does not fit."""
        self._policy = policy
        self._question = question
        self._images = images
        self.first = policy.render(question, (), images)

    def turns(
        self, completions: Sequence[ScoredCompletion], advantages: Sequence[float]
    ) -> Iterator[tuple[Prompt, Turn, bool, float]]:
        """Yield (prompt, turn, whether its answer is bare, advantage) for each turn that fits, best
        completions first."""
        ranked = sorted(zip(completions, advantages, strict=True), key=lambda each: -each[1])
        for completion, advantage in ranked:
            said: list[Exchange] = []
            for turn in completion.turns:
                try:
                    prompt = self._render(said) if said else self.first
                except PromptTooLongError:
                    break
                yield prompt, turn, completion.bare, advantage
                said.append(Exchange(turn.text, turn.observation))

    def _render(self, said: Sequence[Exchange]) -> Prompt:
        return self._policy.render(self._question, said, self._images)


def _length(policy: Policy, group: ScoredGroup) -> int:
    """Characters of all rows, images included: an estimate of a group's cost before any of it is encoded."""
    sight = policy.tokenizer.sight
    vectors = 0 if sight is None else sum(map(sight.eye.vectors, group.images))
    asked = len(group.question) + CHARACTERS_PER_TOKEN * vectors
    total = asked if policy.shares_prompts else 0
    for completion in group.completions:
        said = 0 if policy.shares_prompts else asked
        for turn in completion.turns:
            total += said + len(turn.text)
            said = (said or asked) + len(turn.text) + len(turn.observation)
    return total


def _row(policy: Policy, prompt: Prompt, completion: Turn, advantage: float, *, external: bool) -> TrainRow:
    # Another peer's token ids may mean something else here, so external text is always encoded again.
    sampled = () if external else completion.token_ids
    ids = sampled or policy.encode_completion(completion.text, completion.finished, len(prompt))
    known = bool(sampled) and len(completion.logprobs) == len(sampled)
    return TrainRow(
        tokens=TokenRow(prompt, ids),
        advantage=advantage,
        rollout_logprobs=completion.logprobs if known else None,
        behaviour_logprob_sum=completion.behaviour_logprob_sum,
        text_bytes=len(completion.text.encode()),
        external=external,
    )


def _standings(policy: Policy, prompt: Prompt, turn: Turn, *, bare: bool) -> tuple[Standing, ...]:
    """The part of the text that each token belongs to. An answer that is not bare is as unverified as the
    rest."""
    spans = policy.completion_spans(turn.text, turn.finished, len(prompt))
    return standings(turn.text, spans) if bare else (Standing.OTHER,) * len(spans)


def mean_reward(groups: Sequence[ScoredGroup]) -> float | None:
    """Mean over all completions of the groups that were judged; None if there are none."""
    return _mean([reward for group in groups if group.is_judged for reward in group.rewards])


def sampled_entropy(groups: Sequence[ScoredGroup]) -> float | None:
    """Mean of -log p over sampled tokens: an unbiased estimate of the policy's entropy at no cost."""
    return _mean([-logprob for turn in _turns_of(groups) for logprob in turn.logprobs])


def share_reencoded_differently(policy: Policy, groups: Sequence[ScoredGroup]) -> float | None:
    """The share of own turns whose text encodes to tokens other than those sampled.

    Only text is published, so other peers train on the re-encoded tokens.
    """
    return _mean(
        [
            float(policy.encode_completion(turn.text, turn.finished) != turn.token_ids)
            for turn in _turns_of(groups)
            if turn.token_ids
        ]
    )


def _turns_of(groups: Sequence[ScoredGroup]) -> Iterator[Turn]:
    return (turn for group in groups for completion in group.completions for turn in completion.turns)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
