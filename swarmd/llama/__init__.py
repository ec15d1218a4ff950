"""Models of Llama's shape (Llama, Mistral without a window, Qwen2, Qwen3), computed by us because that is
faster.

How it works
    `reading.py` finds the model's weights in transformers' modules and refuses what it does not know. It is
    the only file of swarmd that knows these modules' names. Everything else works on what it returns, a
    `Decoder`: linear layers, RMS norms and the rotary module, layer by layer. The parameters remain the
    model's own.

    Decoding (`decoding.py`) runs each prompt once, writes its keys and values into a cache that is allocated
    once (`cache.py`), and lets finished rows leave the batch (`batch.py`). `forward.py` is the forward pass
    of one token per row. `products.py` decides in which layout weights are multiplied: a step of a few rows
    runs at the speed at which weights are read.

    In float32 on a CPU, `native.py` decodes instead, if the library that `native.cpp` becomes was built and
    passes the trial. `library.py` loads it, `native_batch.py` describes a model to it. A step is then one
    call, without PyTorch's operators.

    Training (`body.py`, `layers.py`) is a `logprobs.Body`: each layer is two functions with a written-out
    backward pass. They keep a half's input, one number per norm, and what the activation sees. The rest is
    computed again.

    `norm.py` and `rotary.py` are shared by both. `memory.py` says what both hold at their peak.

What it must equal
    Transformers' own forward: in float32 to rounding, in bfloat16 as closely as transformers' own rounding
    allows. Products run in the working dtype. The residual stream, norms, rotations and softmax are float32,
    as under autocast. `logprobs/trial.py` compares before an engine is used. If it differs, or if another
    release of transformers moved a module, transformers' own forward is used and the reason is reported.

What it does not do
    No sliding windows, no soft caps, no mixture of experts, no rotary angles that depend on the length. No
    adapters in training: transformers' layers train them, still on packed rows. Decoding takes adapters as
    factors beside the weights.
"""

from swarmd.llama.body import LlamaBody
from swarmd.llama.decoding import LlamaEngine
from swarmd.llama.library import NativeError, kernels
from swarmd.llama.native import NativeEngine
from swarmd.llama.reading import NotLlamaError, read_decoder

__all__ = [
    "LlamaBody",
    "LlamaEngine",
    "NativeEngine",
    "NativeError",
    "NotLlamaError",
    "kernels",
    "read_decoder",
]
