"""The policy: hardware plan, model loading, generation and log-probabilities. No rewards, no peers."""

from swarmd.policy.backend import GenerationStoppedError, Generator, Progress, Scorer, StopSignal, TokenRow
from swarmd.policy.hardware import (
    Accelerator,
    HardwarePlan,
    HardwareProbe,
    LoraPlan,
    plan_hardware,
    probe_hardware,
)
from swarmd.policy.loading import load_policy
from swarmd.policy.policy import Policy, PromptTooLongError, Sample, out_of_memory_as_model_error
from swarmd.policy.tokenizer import ChatTokenizer, tokenizer_fingerprint

__all__ = [
    "Accelerator",
    "ChatTokenizer",
    "GenerationStoppedError",
    "Generator",
    "HardwarePlan",
    "HardwareProbe",
    "LoraPlan",
    "Policy",
    "Progress",
    "PromptTooLongError",
    "Sample",
    "Scorer",
    "StopSignal",
    "TokenRow",
    "load_policy",
    "out_of_memory_as_model_error",
    "plan_hardware",
    "probe_hardware",
    "tokenizer_fingerprint",
]
