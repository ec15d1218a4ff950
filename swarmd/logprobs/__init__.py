"""Log-probabilities of completions, and their gradients, for any causal language model.

How it works
    A `LogprobsEngine` takes rows (a prompt and one completion, as token ids) and returns [B, T]
    log-probabilities with a mask. There are two engines and a wrapper.

    `padded.py` puts each completion after its own copy of the prompt and runs transformers' forward. It is
    right for every causal model, so everything else is compared with it.

    `packed.py` lays a prompt down once, with all its completions after it, in one flat stretch of tokens
    (`packing.py`). Everything but attention looks at one token at a time, so it runs over the stretch as it
    is. Attention (`attention.py`, `short_attention.py`) lets a prompt see itself and a completion see its
    prompt and itself. The logits never exist all at once: `vocabulary.py` takes one slice of the vocabulary
    at a time, with a running log-sum-exp. What lies between embedding and output layer is a `Body`:
    transformers' own modules (`body.py`) or Llama's layers with their own backward pass (`llama/body.py`).

    `distinct.py` computes equal rows once.

What it must equal
    The model's own forward, row by row, at the policy's temperature. A trial (`trial.py`) of four rows
    decides each time a model is loaded. Gradients equal those of padded rows up to rounding. The tests
    compare every weight.

Where gradients go
    Embedding, output layer and Llama's layers add to `.grad` themselves, in place (`gradients.py`). The
    gradients of large weights stay two factors until the optimiser applies them (`factored.py`). On a 0.5 B
    model with 128 tokens per step, that saves the 2 GB of all gradients and a fifth of the time (decision
    13). Hooks on these parameters and `torch.autograd.grad` see nothing.

What it does not do
    It knows no rewards, losses or advantages. It does not choose engines: `policy/engines.py` does. Packed
    rows support no sliding window and no capped logits, so the rows of such models are padded.
"""

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
