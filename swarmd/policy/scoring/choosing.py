"""Which scorer a model gets: packed rows where they were seen to give the same, padded ones elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.policy.backend import Scorer, TokenRow
from swarmd.policy.generation.architecture import UnknownArchitectureError, read_decoder
from swarmd.policy.pending import PendingGradients
from swarmd.policy.scoring.attention import UnknownAttentionError
from swarmd.policy.scoring.bodies import Body, OwnBody, TransformersBody
from swarmd.policy.scoring.checkpointing import keep_activations
from swarmd.policy.scoring.packed import PackedScorer
from swarmd.policy.scoring.padded import PaddedScorer
from swarmd.policy.shortage import is_out_of_memory

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
OUT_OF_PLACE = (AttributeError, TypeError, KeyError, ValueError, RuntimeError)
"""What a model raises whose forward does not take embeddings, positions or another attention."""
TOGETHER = "completions are scored together behind one copy of their prompt"
ONE_BY_ONE = "completions are scored one by one, each behind its prompt"


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
    recompute: Callable[[], bool] = keep_activations,
    before_layer: Callable[[], None] | None = None,
) -> ScorerChoice:
    """The fastest scorer that is right for this model. Runs some 20 tokens through it to see that it is.

    `recompute` is asked whenever rows are scored: whether layers are to be computed again in backward.
    """
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    pending = PendingGradients()
    makers: dict[str, Callable[[torch.dtype], Body]] = {
        "our own layers": lambda working: _own_body(base, working, pending, before_layer),
        "transformers' layers": lambda working: TransformersBody(base.base_model, working),
    }

    def make(body: Body, working: torch.dtype) -> PackedScorer:
        return PackedScorer(base, body, dtype=working, pending=pending, recompute=recompute)

    hindrance = why_not_packed(base)
    whys = [] if hindrance is None else [hindrance]
    if hindrance is None:
        expected = _trial(PaddedScorer(model, pad_id=pad_id, dtype=base.dtype))
        for by, make_body in makers.items():
            try:
                found = _trial(make(make_body(base.dtype), base.dtype))
            except UnknownArchitectureError as error:
                whys.append(f"not by {by}: {error}")
            except (UnknownAttentionError, *OUT_OF_PLACE) as error:
                if is_out_of_memory(error):  # says nothing of the model, and padded rows take more
                    raise
                whys.append(f"not by {by}: the model does not run on packed rows ({error})")
            else:
                difference = float((found - expected).abs().max())
                half = base.dtype != torch.float32
                # NaN is not greater: a model that computes no numbers is reported where it is used.
                if not difference > (TRIAL_DIFFERENCE_MAX_HALF if half else TRIAL_DIFFERENCE_MAX):
                    scorer = make(make_body(dtype), dtype)
                    return ScorerChoice(scorer, "; ".join((f"{TOGETHER}, by {by}", *whys)))
                whys.append(f"not by {by}: that came out {difference:.3g} nats apart")
    padded = PaddedScorer(model, pad_id=pad_id, dtype=dtype, recompute=recompute)
    return ScorerChoice(padded, "; ".join((ONE_BY_ONE, *whys)))


def why_not_packed(base: Any) -> str | None:
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


def _own_body(
    base: Any, dtype: torch.dtype, pending: PendingGradients, before_layer: Callable[[], None] | None
) -> OwnBody:
    body = OwnBody(read_decoder(base), dtype, pending, before_layer)
    # Our layers take part in backward only if their input does.
    trained = [parameter.requires_grad for parameter in base.parameters()]
    if any(trained) and not all(trained):
        raise UnknownArchitectureError("only a part of it is trained")
    return body


@torch.no_grad()
def _trial(scorer: Scorer) -> Tensor:
    return scorer.logprobs(TRIAL_ROWS, 1.0)[0]
