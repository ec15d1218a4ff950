"""Which tokens of another peer's right completion are trained on: what was verified, and what this policy
would write itself.

Only the answer is verified. Everything around it earned its reward by standing beside a right answer, so it
may be any payload (arXiv 2511.09780), and a loss that raises the probability of every token teaches it. So of
others' right completions a policy is pushed towards

- the answer that was scored and the closing tag, and the end of the text where it comes right after them;
- before the first token that it would not write itself: the opening tag, and other text as far as each token
  is the one that it would write there (`LIKELY`).

All other tokens are read, so that the answer is learned behind them, and get no gradient. The opening tag is
among them where it stands behind a payload: a policy that learns to open it there goes on from the payload's
first letters, which it may write by itself. Text with more than one pair of tags has no verified part, since
a second answer would teach to go on behind the first; and what has no verified part teaches nothing, however
likely it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from swarmd.tasks import CLOSING_TAG, OPENING_TAG, find_answer

LIKELY = 0.5
"""Least probability of a token that this policy "would write". Above one half there is room for one token, so
what is pushed is what greedy decoding writes anyway: a payload that the policy writes now and then cannot be
made the rule."""

Span = tuple[int, int]
"""Where a token's text begins and ends, in characters of the completion."""


class Standing(IntEnum):
    """What a token of another peer's completion is a part of."""

    OTHER = 0
    OPENING = 1
    """The opening tag."""
    ANSWER = 2
    """The answer without the space around it, the closing tag, the end of the text right after it."""


def standings(text: str, spans: Sequence[Span]) -> tuple[Standing, ...]:
    """Of each token what it stands in, wholly. An empty span at the end of `text` is the end token."""
    places = _of_characters(text)
    at_the_end = Standing.ANSWER if places and places[-1] is Standing.ANSWER else Standing.OTHER
    return tuple(min(places[start:end], default=at_the_end) for start, end in spans)


def _of_characters(text: str) -> list[Standing]:
    places = [Standing.OTHER] * len(text)
    inside = find_answer(text)
    if inside is None or text.count(OPENING_TAG) > 1 or text.count(CLOSING_TAG) > 1:
        return places
    between = text[inside]
    answer = inside.start + len(between) - len(between.lstrip())
    parts = (
        (inside.start - len(OPENING_TAG), len(OPENING_TAG), Standing.OPENING),
        (answer, len(between.strip()), Standing.ANSWER),
        (inside.stop, len(CLOSING_TAG), Standing.ANSWER),
    )
    for start, length, standing in parts:
        places[start : start + length] = [standing] * length
    return places


def trained_tokens(first_logprobs: Tensor, standing: Tensor, advantages: Tensor) -> Tensor:
    """[B, T] bool: tokens that a gradient may reach, of completions under the policy before the step [B, T].

    `standing` is [B, T]. Of completions with an advantage [B] of 0 or less all: nobody gains by what others
    are pushed away from, and losses that do so limit it themselves.
    """
    answer = standing == Standing.ANSWER
    would_write = (first_logprobs >= math.log(LIKELY)) | (standing != Standing.OTHER)
    so_far = torch.cumprod(would_write.to(torch.int8), dim=1).bool()
    right = answer | (so_far & answer.any(dim=1, keepdim=True))
    return right | (advantages <= 0)[:, None]
