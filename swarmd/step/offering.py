"""From a scored own group to the offer that gossip may publish."""

from __future__ import annotations

from protocol import Completion
from protocol.limits import MICRO, MILLI
from swarmd.gossip import GroupOffer
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.tasks import Question


def to_offer(
    group: ScoredGroup, question: Question, temperature: float, *, even_all_right: bool = False
) -> GroupOffer:
    """The offer of `group`. Raises InvalidLocal if the protocol has no room for what was generated.

    `even_all_right`: publish it also if it is right throughout.
    """
    return GroupOffer(
        step=group.step,
        task=question.spec,
        question_digest=question.digest,
        completions=tuple(map(_to_wire, group.completions)),
        temperature_milli=round(MILLI * temperature),
        model=group.model,
        tokenizer=group.tokenizer,
        even_all_right=even_all_right,
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
