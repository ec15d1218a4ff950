"""The policy: hardware plan, model loading, generation and log-probabilities. No rewards, no peers."""

from swarmd.policy.arrangement import Workload
from swarmd.policy.backend import GenerationStoppedError, Generator, Progress, Scorer, StopSignal, TokenRow
from swarmd.policy.budgets import BudgetKeeper, Budgets
from swarmd.policy.fingerprint import model_fingerprint
from swarmd.policy.hardware import Accelerator, HardwareProbe, probe_hardware
from swarmd.policy.loading import load_policy
from swarmd.policy.pending import PendingGradients
from swarmd.policy.plan import HardwarePlan, LoraPlan, plan_hardware
from swarmd.policy.policy import Policy, PromptTooLongError, Sample
from swarmd.policy.preparing import Prepared, prepare_plan
from swarmd.policy.shortage import Shortage, attempt, out_of_memory_as_model_error
from swarmd.policy.tokenizer import ChatTokenizer, tokenizer_fingerprint

__all__ = [
    "Accelerator",
    "BudgetKeeper",
    "Budgets",
    "ChatTokenizer",
    "GenerationStoppedError",
    "Generator",
    "HardwarePlan",
    "HardwareProbe",
    "LoraPlan",
    "PendingGradients",
    "Policy",
    "Prepared",
    "Progress",
    "PromptTooLongError",
    "Sample",
    "Scorer",
    "Shortage",
    "StopSignal",
    "TokenRow",
    "Workload",
    "attempt",
    "load_policy",
    "model_fingerprint",
    "out_of_memory_as_model_error",
    "plan_hardware",
    "prepare_plan",
    "probe_hardware",
    "tokenizer_fingerprint",
]
