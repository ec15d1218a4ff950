"""Logprobs of completions, and their gradients, for any causal language model.

How it works
    A `LogprobsEngine` takes rows (a prompt and one completion, as token ids) and returns logprobs [B, T] with
    a mask. There are two engines and a wrapper.

    `padded.py` puts each completion after its own copy of the prompt and runs transformers' forward. It is
    right for every causal model, so it is the reference for everything else.

    `packed.py` places a prompt once, followed by all its completions, in one flat sequence of tokens
    (`packing.py`). Everything except attention processes tokens independently, so it runs over the flat
    sequence. In attention (`attention.py`, `short_attention.py`), a prompt sees itself, and a completion sees
    its prompt and itself. The full logits never exist at once: `vocabulary.py` processes one slice of the
    vocabulary at a time, with a running log-sum-exp. Between embedding and output layer is a `Body`:
    transformers' own modules (`body.py`) or Llama's layers with their own backward pass (`llama/body.py`).

    `distinct.py` computes equal rows once.

What it must equal
    The model's own forward, row by row, at the policy's temperature. This is decided by a trial of four rows
    (`trial.py`) each time a model is loaded. Gradients equal those of padded rows up to rounding; the tests
    compare every weight.

Where gradients go
    Embedding, output layer and Llama's layers add to `.grad` themselves, in place (`gradients.py`). The
    gradients of large weights remain two factors until the optimiser applies them (`factored.py`). For a 0.5
    B model with 128 tokens per step, this saves the 2 GB of all gradients and a fifth of the time (decision
    13). Hooks on these parameters and `torch.autograd.grad` see nothing.

What it does not do
    It knows no rewards, losses or advantages. It does not choose engines; `policy/engines.py` does. Packed
    rows support neither sliding windows nor capped logits, so models with these use padded rows.
"""

import swarmd.model  # noqa: F401  before what imports transformers
from swarmd.logprobs.distinct import DistinctLogprobs
from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.interface import LogprobsEngine, TokenRow
from swarmd.logprobs.packed import PackedLogprobs
from swarmd.logprobs.padded import PaddedLogprobs

__all__ = [
    "DistinctLogprobs",
    "FactoredGradients",
    "LogprobsEngine",
    "PackedLogprobs",
    "PaddedLogprobs",
    "TokenRow",
]
