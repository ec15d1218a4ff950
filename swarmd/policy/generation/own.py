"""Our own decoding where it computes what the model computes; transformers' forward for every other model."""

from __future__ import annotations

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from swarmd.policy.backend import autocast
from swarmd.policy.generation.architecture import Decoder, UnknownArchitectureError, read_decoder
from swarmd.policy.generation.eager import EagerGenerator
from swarmd.policy.generation.forward import LeanForward
from swarmd.policy.generation.lean import LeanGenerator

TRIAL_PROMPTS = (2, 5)  # tokens of each: two lengths, so that padding is tried too
TRIAL_STEPS = 4  # cached tokens after them
TOLERANCE = 1e-3  # in float32, of a position's logits: rounding adds up over the layers
REDUCED_TOLERANCE = 0.2  # of the median position: a wrong forward is off by about 1 everywhere


def own_generator(
    model: PreTrainedModel | PeftModel, *, pad_id: int, eos_ids: frozenset[int], dtype: torch.dtype
) -> tuple[LeanGenerator | EagerGenerator, str]:
    """The fastest of our generators that is right for this model, and a sentence that says why."""
    try:
        decoder = read_decoder(model)
    except UnknownArchitectureError as unknown:
        reason = f"transformers' own forward generates because ours does not know this model: {unknown}"
    else:
        difference, tolerance = _judge(_differences(model, decoder, dtype), dtype)
        if difference <= tolerance:
            return (
                LeanGenerator(decoder, eos_ids=eos_ids, dtype=dtype),
                "our own decoding generates because it computes this model as transformers does",
            )
        reason = (
            f"transformers' own forward generates because ours differs from it: {difference:.1g} of the "
            f"logits, where {tolerance:.1g} would be rounding"
        )
    return EagerGenerator(model, pad_id=pad_id, eos_ids=eos_ids, dtype=dtype), reason


def _judge(differences: Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """What the differences [rows, positions] come to, and what it may be.

    In reduced precision single positions are chaotic, in transformers' own forward too (SmolLM2 after control
    tokens: 0.7 from float32), so each row's median counts there.
    """
    if dtype == torch.float32:
        return float(differences.max()), TOLERANCE
    return float(differences.median(dim=1).values.max()), REDUCED_TOLERANCE


@torch.no_grad()
def _differences(model: PreTrainedModel | PeftModel, decoder: Decoder, dtype: torch.dtype) -> Tensor:
    """Between the next-token logits of both forwards, relative to their length: [rows, positions]."""
    forward = LeanForward(decoder, dtype)
    words, device = decoder.embedding.num_embeddings, forward.device
    tokens = torch.arange(1, max(TRIAL_PROMPTS) + TRIAL_STEPS + 1, device=device) * words
    tokens //= len(tokens) + 1  # spread over the vocabulary
    prompts = [tokens[:length].tolist() for length in TRIAL_PROMPTS]
    batch, logits = forward.start(prompts, 1, TRIAL_STEPS + 1)
    steps = [logits]
    for _ in range(TRIAL_STEPS):
        steps.append(forward.step(tokens[batch.positions], batch))
    ours = torch.stack(steps, dim=1).double()
    rows = []
    for row, length in enumerate(TRIAL_PROMPTS):
        with autocast(device, dtype):
            whole = model(input_ids=tokens[None, : length + TRIAL_STEPS], use_cache=False).logits[0]
        exact = whole[length - 1 :].double()
        rows.append((ours[row] - exact).norm(dim=-1) / exact.norm(dim=-1))
    return torch.stack(rows)
