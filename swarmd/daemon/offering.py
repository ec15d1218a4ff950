"""From a scored own group to what gossip may offer to others."""

from __future__ import annotations

from protocol import Completion
from protocol.limits import MICRO, MILLI
from swarmd.gossip import GroupOffer
from swarmd.learning import ScoredCompletion, ScoredGroup
from swarmd.tasks import Question


def to_own_group(group: ScoredGroup, question: Question, temperature: float) -> GroupOffer:
    """Raises InvalidLocal when the protocol has no room for what was generated."""
    return GroupOffer(
        step=group.step,
        task=question.spec,
        question_digest=question.digest,
        completions=tuple(map(_to_wire, group.completions)),
        temperature_milli=round(MILLI * temperature),
        model=group.model,
        tokenizer=group.tokenizer,
    )


def _to_wire(completion: ScoredCompletion) -> Completion:
    return Completion(
        text=completion.text,
        reward_micro=round(completion.reward * MICRO),
        logprob_sum_micro=min(0, round((completion.behaviour_logprob_sum or 0.0) * MICRO)),
        tokens=len(completion.token_ids),
        bytes=len(completion.text.encode()),
        finished=completion.finished,
    )
