"""Which tokens of another peer's right completion are trained on: what was verified, and what this policy
would write itself.

Only the answer is verified. Everything around it earned its reward by standing beside a right answer, so it
may be any payload (arXiv 2511.09780), and a loss that raises the probability of every token teaches it. So of
others' right completions a policy is pushed towards

- the answer that was scored and its two tags, and the end of the text where it comes right after them;
- before the first token that it would not write itself: the text as well, as far as each token is the one
  that it would write there (`LIKELY`).

All other tokens are read, so that the answer is learned behind them, and get no gradient. Text with more than
one pair of tags has no verified part, since a second answer would teach to go on behind the first; and what
has no verified part teaches nothing, however likely it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.tasks import CLOSING_TAG, OPENING_TAG, find_answer

LIKELY = 0.5
"""Least probability of a token that this policy "would write". Above one half there is room for one token, so
what is pushed is what greedy decoding writes anyway: a payload that the policy writes now and then cannot be
made the rule."""

Span = tuple[int, int]
"""Where a token's text begins and ends, in characters of the completion."""


def verified_tokens(text: str, spans: Sequence[Span]) -> tuple[bool, ...]:
    """Of each token, whether it stands wholly in what was verified. An empty span at the end of `text` is the
    end token."""
    verified = _verified_characters(text)
    ends_verified = bool(verified) and verified[-1]
    return tuple(all(verified[start:end]) if start < end else ends_verified for start, end in spans)


def _verified_characters(text: str) -> list[bool]:
    """Of each character: the tags, and between them the answer without the space around it."""
    verified = [False] * len(text)
    inside = find_answer(text)
    if inside is None or text.count(OPENING_TAG) > 1 or text.count(CLOSING_TAG) > 1:
        return verified
    between = text[inside]
    answer = inside.start + len(between) - len(between.lstrip())
    parts = (
        (inside.start - len(OPENING_TAG), len(OPENING_TAG)),
        (answer, len(between.strip())),
        (inside.stop, len(CLOSING_TAG)),
    )
    for start, length in parts:
        verified[start : start + length] = [True] * length
    return verified


def trained_tokens(first_logprobs: Tensor, verified: Tensor, advantages: Tensor) -> Tensor:
    """[B, T] bool: tokens that a gradient may reach, of completions under the policy before the step [B, T].

    `verified` is [B, T]. Of completions with an advantage [B] of 0 or less all: nobody gains by what others
    are pushed away from, and losses that do so limit it themselves.
    """
    likely = first_logprobs >= math.log(LIKELY)
    so_far = torch.cumprod((likely | verified).to(torch.int8), dim=1).bool()
    right = verified | (so_far & verified.any(dim=1, keepdim=True))
    return right | (advantages <= 0)[:, None]
