"""Our own decoding where it computes what the model computes; transformers' forward for every other model."""

from __future__ import annotations

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from swarmd.policy.backend import autocast
from swarmd.policy.generation.architecture import Decoder, UnknownArchitectureError, read_decoder
from swarmd.policy.generation.eager import EagerGenerator
from swarmd.policy.generation.forward import LeanForward
from swarmd.policy.generation.lean import LeanGenerator

TRIAL_PROMPTS = ((1, 2, 3), (4,))  # of two lengths, so that padding is tried too
TRIAL_TOKEN = 5
TOLERANCE = {torch.float32: 1e-3}  # of the largest logit: rounding adds up over the layers
REDUCED_TOLERANCE = 0.1  # two ways of rounding to 8 or 11 bits; a wrong forward differs by about 1


def own_generator(
    model: PreTrainedModel | PeftModel, *, pad_id: int, eos_ids: frozenset[int], dtype: torch.dtype
) -> tuple[LeanGenerator | EagerGenerator, str]:
    """The fastest of our generators that is right for this model, and a sentence that says why."""
    try:
        decoder = read_decoder(model)
    except UnknownArchitectureError as unknown:
        reason = f"transformers' own forward generates because ours does not know this model: {unknown}"
    else:
        difference = _largest_difference(model, decoder, dtype)
        if difference <= TOLERANCE.get(dtype, REDUCED_TOLERANCE):
            return (
                LeanGenerator(decoder, eos_ids=eos_ids, dtype=dtype),
                "our own decoding generates because it computes this model as transformers does",
            )
        reason = (
            f"transformers' own forward generates because ours differs from it by {difference:.1g} "
            "of the largest logit"
        )
    return EagerGenerator(model, pad_id=pad_id, eos_ids=eos_ids, dtype=dtype), reason


@torch.no_grad()
def _largest_difference(model: PreTrainedModel | PeftModel, decoder: Decoder, dtype: torch.dtype) -> float:
    """Between the next-token logits of both forwards, over a prompt and a step; relative to the largest."""
    forward = LeanForward(decoder, dtype)
    prompts = sorted(TRIAL_PROMPTS, key=len)
    batch, first = forward.start(prompts, 1, 2)
    second = forward.step(torch.full_like(batch.positions, TRIAL_TOKEN), batch)
    largest = 0.0
    for row, prompt in enumerate(prompts):
        ids = torch.tensor([[*prompt, TRIAL_TOKEN]], device=forward.device)
        with autocast(forward.device, dtype):
            exact = model(input_ids=ids, use_cache=False).logits[0, -2:].double()
        ours = torch.stack((first[row], second[row])).double()
        largest = max(largest, float((ours - exact).abs().max() / exact.abs().max()))
    return largest
