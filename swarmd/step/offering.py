"""Converts a scored own group to an offer that gossip may publish."""

from __future__ import annotations

from protocol import Completion, Episode, Turn
from protocol.limits import MICRO, MILLI
from swarmd import groups
from swarmd.gossip import GroupOffer
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.tasks import Question


def to_offer(
    group: ScoredGroup, question: Question, temperature: float, *, even_all_right: bool = False
) -> GroupOffer:
    """The offer of `group`. Raises InvalidLocal if the generated text exceeds a limit of the protocol.

    `even_all_right`: publish the group even if all its completions are right.
    """
    return GroupOffer(
        step=group.step,
        task=question.spec,
        question_digest=question.digest,
        completions=tuple(map(_to_completion, group.completions))
        if question.is_plain
        else tuple(map(_to_episode, group.completions)),
        temperature_milli=round(MILLI * temperature),
        model=group.model,
        tokenizer=group.tokenizer,
        even_all_right=even_all_right,
    )


def _to_completion(completion: ScoredCompletion) -> Completion:
    [turn] = map(_to_turn, completion.turns)
    return Completion(**dict(turn), reward_micro=_micro(completion))


def _to_episode(completion: ScoredCompletion) -> Episode:
    return Episode(turns=tuple(map(_to_turn, completion.turns)), reward_micro=_micro(completion))


def _to_turn(turn: groups.Turn) -> Turn:
    return Turn(
        text=turn.text,
        logprob_sum_micro=min(0, round((turn.behaviour_logprob_sum or 0.0) * MICRO)),
        tokens=len(turn.token_ids),
        bytes=len(turn.text.encode()),
        finished=turn.finished,
    )


def _micro(completion: ScoredCompletion) -> int:
    return round((completion.reward if completion.claimed is None else completion.claimed) * MICRO)
