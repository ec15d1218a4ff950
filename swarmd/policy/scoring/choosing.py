"""Which scorer a model gets: packed rows where they were seen to give the same, padded ones elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from swarmd.policy.backend import Scorer, TokenRow
from swarmd.policy.scoring.attention import UnknownAttentionError
from swarmd.policy.scoring.packed import PackedScorer
from swarmd.policy.scoring.padded import PaddedScorer

TRIAL_DIFFERENCE_MAX = 2e-3  # nats, in float32: rounding is below 1e-4, a forgotten scale or mask far above
TRIAL_DIFFERENCE_MAX_HALF = 0.2  # nats, with weights of half precision
TRIAL_ROWS = (
    TokenRow((1, 2, 3, 4), (5, 6, 7)),
    TokenRow((1, 2, 3, 4), (8,)),
    TokenRow((1, 2, 3, 4), (9, 1)),
    TokenRow((9, 8), (7, 6, 5, 4, 3)),
)
"""Two prompts of different lengths, completions of different lengths: whatever packing could get wrong."""
TOUCHED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""What some models do to logits behind the output layer; a trial of small logits might not show it."""
OUT_OF_PLACE = (AttributeError, TypeError, KeyError, ValueError, RuntimeError, UnknownAttentionError)
"""What a model raises whose forward does not take embeddings, positions or another attention."""


@dataclass(frozen=True)
class ScorerChoice:
    """A scorer, and the sentence that says why it is this one."""

    scorer: Scorer
    reason: str


def choose_scorer(
    model: PreTrainedModel | PeftModel,
    *,
    pad_id: int,
    dtype: torch.dtype,
    gradient_checkpointing: bool = False,
) -> ScorerChoice:
    """The fastest scorer that is right for this model. Runs some 20 tokens through it to see that it is."""
    padded = PaddedScorer(model, pad_id=pad_id, dtype=dtype)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    why_not = _why_not_packed(base) or _why_trial_fails(model)
    if why_not is not None:
        return ScorerChoice(padded, f"completions are scored one by one behind their prompt: {why_not}")
    packed = PackedScorer(model, dtype=dtype, gradient_checkpointing=gradient_checkpointing)
    return ScorerChoice(packed, "the completions of a question are scored behind one copy of its prompt")


def _why_not_packed(base: Any) -> str | None:
    """What can be seen without running the model."""
    config = base.config
    if type(base.get_input_embeddings()) is not nn.Embedding:
        return "the model's embedding is not a plain table"
    if type(base.get_output_embeddings()) is not nn.Linear:
        return "the model's output layer is not a plain linear one"
    for name in TOUCHED_LOGITS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            return f"the model changes its logits ({name})"
    if getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True):
        return "the model attends through a sliding window"
    return None


@torch.no_grad()
def _why_trial_fails(model: PreTrainedModel | PeftModel) -> str | None:
    """Both ways on a few tokens, in the precision of the weights."""
    dtype = next(model.parameters()).dtype
    try:
        found, _ = PackedScorer(model, dtype=dtype).logprobs(TRIAL_ROWS, 1.0)
    except OUT_OF_PLACE as error:
        return f"{type(model).__name__} cannot run on packed rows ({error})"
    expected, _ = PaddedScorer(model, pad_id=0, dtype=dtype).logprobs(TRIAL_ROWS, 1.0)
    allowed = TRIAL_DIFFERENCE_MAX if dtype == torch.float32 else TRIAL_DIFFERENCE_MAX_HALF
    difference = float((found - expected).abs().max())
    # NaN is not greater: a model that computes no numbers is reported where it is used.
    return f"packed rows came out {difference:.3g} nats apart" if difference > allowed else None
