"""Determines how much memory a model's engines will need, by their own estimates, before weights are read."""

from __future__ import annotations

from typing import Any

from swarmd.config.slices import EngineName
from swarmd.hardware.arrangement import EnginesMemory, Memory
from swarmd.llama import NotLlamaError, read_decoder
from swarmd.llama.memory import DecodingMemory, training_memory
from swarmd.logprobs.memory import packed_memory, padded_memory
from swarmd.logprobs.packed import why_not_packed
from swarmd.model.sight import is_seeing
from swarmd.rollout.memory import eager_memory, vllm_memory


def engines_memory(model: Any, wish: EngineName) -> EnginesMemory:
    """The estimate for a model on the meta device. A trial may choose other engines once weights are
    loaded."""
    try:
        decoder = read_decoder(model)
    except NotLlamaError:
        decoder = None
    if wish == "vllm":
        decoding: Memory = vllm_memory
    elif wish == "eager" or decoder is None:
        decoding = eager_memory
    else:
        decoding = DecodingMemory.of(decoder, native=wish != "own")
    if why_not_packed(model) is not None or is_seeing(model.config):
        return EnginesMemory(decoding, padded_memory)
    return EnginesMemory(decoding, packed_memory if decoder is None else training_memory)
