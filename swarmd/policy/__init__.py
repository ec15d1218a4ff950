"""A policy: a language model that answers questions and says how likely its answers were.

This room combines the rooms below it: a plan from `hardware/`, a model from `model/`, and engines from
`rollout/`, `logprobs/` and `llama/`. It knows no rewards and no peers. `learning/` trains.
"""

import swarmd.model  # noqa: F401  before what imports transformers
from swarmd.policy.loading import load_policy
from swarmd.policy.policy import Policy, PromptTooLongError, Sample
from swarmd.policy.preparing import Prepared, prepare_plan

__all__ = ["Policy", "Prepared", "PromptTooLongError", "Sample", "load_policy", "prepare_plan"]
