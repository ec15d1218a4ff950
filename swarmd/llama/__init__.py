"""Our own implementation of models of Llama's shape (Llama, Mistral without a window, Qwen2, Qwen3), for
speed.

How it works
    `reading.py` finds the model's weights in transformers' modules and refuses models that it does not know.
    It is the only file of swarmd that knows these modules' names. Everything else works on its result, a
    `Decoder`: linear layers, RMS norms and the rotary module, layer by layer. The parameters remain the
    model's own.

    Decoding (`decoding.py`) runs each prompt once, writes its keys and values into a cache that is allocated
    once (`cache.py`), and lets finished rows leave the batch (`batch.py`). `forward.py` is the forward pass
    of one token per row. `products.py` chooses the layout in which weights are multiplied: a step of a few
    rows is as fast as reading the weights.

    In float32 on a CPU, `native.py` decodes instead, if the library compiled from `native.cpp` exists and
    passes the trial. `library.py` loads it, and `native_batch.py` describes a model to it. A step is then one
    call, without PyTorch's operators.

    Training (`body.py`, `layers.py`) is a `logprobs.Body`: each layer is two functions with explicit backward
    passes. They keep the input of each half, one number per norm, and the activation's input. Everything else
    is recomputed.

    `norm.py` and `rotary.py` are used by both. `memory.py` estimates the peak memory of both.

What it must equal
    Transformers' own forward: in float32 up to rounding, in bfloat16 as closely as transformers' own rounding
    allows. Products run in the working dtype. The residual stream, norms, rotations and softmax are float32,
    as under autocast. `logprobs/trial.py` compares before an engine is used. If the result differs, or if
    another release of transformers has moved a module, transformers' own forward is used and the reason is
    reported.

What it does not do
    It supports no sliding windows, soft caps or mixtures of experts, and no rotary angles that depend on the
    length. It does not train adapters: transformers' layers do, still on packed rows. Decoding applies
    adapters as factors next to the weights.
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
