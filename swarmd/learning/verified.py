"""Which tokens of another peer's right completion are trained on: what was verified, and what this policy
would write itself.

Only the answer is verified. Everything around it is rewarded because it stands beside a right answer. So it
may be any payload (arXiv 2511.09780), and a loss that raises the probability of every token teaches it.
Therefore, in others' right completions, a policy is pushed towards

- the scored answer and the closing tag, and the end of the text if it comes right after them;
- before the first token that it would not write itself: the opening tag, and other text as long as each token
  is the one that it would write there (`LIKELY`).

All other tokens are read, so that the answer is learned after them, but get no gradient. This includes an
opening tag after a payload: a policy that learns to open it there would go on from the payload's first
letters, which it may write by itself. Text with more than one pair of tags has no verified part, because a
second answer would teach the policy to go on after the first. What has no verified part teaches nothing,
however likely it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from swarmd.tasks import CLOSING_TAG, OPENING_TAG, find_answer

LIKELY = 0.5
"""The least probability of a token that this policy "would write". Only one token can exceed one half, so
only what greedy decoding writes anyway is pushed. A payload that the policy writes now and then cannot become
the rule."""

Span = tuple[int, int]
"""Where a token's text begins and ends, in characters of the completion."""


class Standing(IntEnum):
    """What a token of another peer's completion is a part of."""

    OTHER = 0
    OPENING = 1
    """The opening tag."""
    ANSWER = 2
    """The answer without the space around it, the closing tag, and the end of the text right after it."""


def standings(text: str, spans: Sequence[Span]) -> tuple[Standing, ...]:
    """What each token is wholly a part of. An empty span at the end of `text` is the end token."""
    of_characters = _of_characters(text)
    ends_with_answer = bool(of_characters) and of_characters[-1] is Standing.ANSWER
    at_the_end = Standing.ANSWER if ends_with_answer else Standing.OTHER
    return tuple(min(of_characters[start:end], default=at_the_end) for start, end in spans)


def _of_characters(text: str) -> list[Standing]:
    found = [Standing.OTHER] * len(text)
    inside = find_answer(text)
    if inside is None or text.count(OPENING_TAG) > 1 or text.count(CLOSING_TAG) > 1:
        return found
    between = text[inside]
    answer = inside.start + len(between) - len(between.lstrip())
    parts = (
        (inside.start - len(OPENING_TAG), len(OPENING_TAG), Standing.OPENING),
        (answer, len(between.strip()), Standing.ANSWER),
        (inside.stop, len(CLOSING_TAG), Standing.ANSWER),
    )
    for start, length, standing in parts:
        found[start : start + length] = [standing] * length
    return found


def trained_tokens(old_logprobs: Tensor, standing: Tensor, advantages: Tensor) -> Tensor:
    """[B, T] bool: the tokens that a gradient may reach.

    `old_logprobs` [B, T] are under the policy before the step, `standing` is [B, T], `advantages` [B]. With
    an advantage of 0 or less, all tokens: nobody gains from what others are pushed away from, and losses that
    push away limit it themselves.
    """
    answer = standing == Standing.ANSWER
    would_write = (old_logprobs >= math.log(LIKELY)) | (standing != Standing.OTHER)
    so_far = torch.cumprod(would_write.to(torch.int8), dim=1).bool()
    right = answer | (so_far & answer.any(dim=1, keepdim=True))
    return right | (advantages <= 0)[:, None]
