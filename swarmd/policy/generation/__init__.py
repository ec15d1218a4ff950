"""Ways of decoding: prompts in, completions out."""

from swarmd.policy.generation.eager import EagerGenerator

__all__ = ["EagerGenerator"]
