"""Ways of decoding: prompts in, completions out."""

from swarmd.policy.generation.eager import EagerGenerator
from swarmd.policy.generation.own import own_generator

__all__ = ["EagerGenerator", "own_generator"]
