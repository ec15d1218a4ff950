"""Which tokens of another peer's right completion are trained on: verified ones, and those that this policy
would write itself.

Only the answer is verified. Everything around it is rewarded just for being next to a right answer. It can be
any payload (arXiv 2511.09780), and a loss that raises the probability of every token teaches that payload.
Therefore, in external right completions, a policy is pushed only towards

- the scored answer and the closing tag, and the end of the text if it comes right after them;
- the opening tag and other text, up to the first token that this policy would not write itself there
  (`LIKELY`).

All other tokens are read, so that the answer is learned in their context, but they get no gradient. This
includes an opening tag after a payload: a policy that learns to open it there would continue from the
payload's first letters, which it may write by itself. Text with more than one pair of tags has no verified
part, because a second answer would teach the policy to continue after the first. Text without a verified part
teaches nothing, however likely it is.
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
this only pushes towards what greedy decoding writes anyway. A payload that the policy writes now and then
cannot become the rule."""

Span = tuple[int, int]
"""Start and end of a token's text, in characters of the completion."""


class Standing(IntEnum):
    """The part of another peer's completion that a token belongs to."""

    OTHER = 0
    OPENING = 1
    """The opening tag."""
    ANSWER = 2
    """The answer without surrounding whitespace, the closing tag, and the end of the text right after it."""


def standings(text: str, spans: Sequence[Span]) -> tuple[Standing, ...]:
    """The part that each token lies in completely. An empty span at the end of `text` is the end token. Any
    other shows nothing of where its token lies, and nothing there is verified.
    """
    of_characters = _of_characters(text)
    ends_with_answer = bool(of_characters) and of_characters[-1] is Standing.ANSWER
    at_the_end = Standing.ANSWER if ends_with_answer else Standing.OTHER
    return tuple(
        min(of_characters[start:end], default=at_the_end if start == len(text) else Standing.OTHER)
        for start, end in spans
    )


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
    an advantage of 0 or less, all tokens are included: an attacker gains nothing by having text pushed away
    from, and the losses bound the push themselves.
    """
    answer = standing == Standing.ANSWER
    would_write = (old_logprobs >= math.log(LIKELY)) | (standing != Standing.OTHER)
    so_far = torch.cumprod(would_write.to(torch.int8), dim=1).bool()
    right = answer | (so_far & answer.any(dim=1, keepdim=True))
    return right | (advantages <= 0)[:, None]
