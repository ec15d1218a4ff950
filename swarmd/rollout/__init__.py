"""Engines that write completions: prompts as tokens in, completions with logprobs out.

No text, no rewards, no groups. `llama/` contains another engine.
"""

from swarmd.rollout.eager import EagerEngine
from swarmd.rollout.interface import Decoded, Engine, GenerationStoppedError, Progress, StopSignal

__all__ = ["Decoded", "EagerEngine", "Engine", "GenerationStoppedError", "Progress", "StopSignal"]
