"""The number of tokens that a model can use at once without a token's result depending on its batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import PretrainedConfig

LENGTH_DEPENDENT = ("longrope", "dynamic")
"""Rotary embeddings whose angles depend on the longest sequence of a batch, beyond the original context. A
token sampled there would get a different probability when it is recomputed among other rows."""
ORIGINAL = "original_max_position_embeddings"
LIMITS = ("max_position_embeddings", "max_seq_len")  # MPT has the second
NO_LIMIT = -1  # as XLNet says it
UNBOUNDED = 2**31  # for models without positions


def context_of(config: PretrainedConfig) -> int:
    """In tokens: the model's own limit, or the original context if its angles are `LENGTH_DEPENDENT`."""
    return min(declared_context(config), *_originals(config), UNBOUNDED)


def longest_prompt(context: int, max_new_tokens: int) -> int:
    """The tokens that a prompt may have. The rest is for a completion, but at most half of `context`."""
    return context - min(max_new_tokens, context // 2)


def why_shorter(config: PretrainedConfig) -> str | None:
    """A sentence for people, if the model declares a longer context than `context_of`."""
    declared, used = declared_context(config), context_of(config)
    if used >= declared:
        return None
    return (
        f"prompt and completion have {used} of the model's {declared} tokens, because beyond these its "
        "rotary angles depend on the other rows of a batch"
    )


def declared_context(config: PretrainedConfig) -> int:
    """The maximum number of positions in the configuration."""
    text = config.get_text_config(decoder=True)
    found = (getattr(text, name, None) for name in LIMITS)
    limit = next((limit for limit in found if isinstance(limit, int)), NO_LIMIT)
    return UNBOUNDED if limit == NO_LIMIT else limit


def _originals(config: PretrainedConfig) -> Iterator[int]:
    text: Any = config.get_text_config(decoder=True)
    for rope in _ropes(getattr(text, "rope_parameters", None)):
        original = rope.get(ORIGINAL) or getattr(text, ORIGINAL, None)
        if rope.get("rope_type") in LENGTH_DEPENDENT and isinstance(original, int):
            yield original


def _ropes(parameters: object) -> Iterator[Mapping[str, Any]]:
    """Yield one set of parameters for all layers, or one per kind of layer."""
    if not isinstance(parameters, Mapping):
        return
    if "rope_type" in parameters:
        yield parameters
    else:
        yield from (kind for kind in parameters.values() if isinstance(kind, Mapping))
