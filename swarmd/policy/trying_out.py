"""Does once at loading what a step does: writes a question, answers it, computes logprobs and learns from it.

The trial that chooses engines (`logprobs/trial.py`) compares each engine with the model's own forward pass on
made-up tokens. This tests all parts together, with prompts of real questions.
"""

from __future__ import annotations

import torch

from swarmd.errors import ModelError
from swarmd.logprobs import TokenRow
from swarmd.model.sight import BLANK
from swarmd.model.third_party import third_party
from swarmd.policy.policy import Policy

PROBE_QUESTION = "What is 2 + 3?"
LONGER = (2, 12)  # repetitions of the question; one prompt is long enough for windows of some 100 tokens
OTHER_MODEL = "use another model"
APART_MAX = 0.01  # nats, for any token in float32; rounding stays below a tenth of it
APART_MAX_HALF = 0.2  # nats, for the median token in half precision, where single tokens are chaotic
TRIED_TOKENS = 4  # in rows of several lengths and copies: some caches fail only after the first token


def try_out(policy: Policy, name: str, *, remedy: str, training: bool) -> None:
    """Put some questions, short and long, through everything that a step does.

    `remedy` is the advice for a model `name` that cannot be computed. Leaves no gradient behind. Raises
    ModelError, naming the part that failed, and PromptTooLongError if not even a short question fits.
    """
    with third_party(name, "writing a question with its chat template", OTHER_MODEL):
        longer = [" ".join([PROBE_QUESTION] * times) for times in LONGER]
        # The shortest must fit, or the model's context is too short for anything.
        prompts = [policy.render(PROBE_QUESTION), *map(policy.render, filter(policy.fits, longer))]
        if policy.tokenizer.sight is not None:
            prompts.insert(0, policy.render(PROBE_QUESTION, images=(BLANK,)))
    with third_party(name, "generating a few tokens", remedy):
        groups = policy.generate(prompts, 2, TRIED_TOKENS, rng=torch.Generator().manual_seed(0))
    pairs = [(prompt, s) for prompt, group in zip(prompts, groups, strict=True) for s in group]
    rows = [TokenRow(prompt, sample.token_ids) for prompt, sample in pairs]
    with third_party(name, "computing log-probabilities", remedy), torch.no_grad():
        logprobs, mask = policy.logprobs(rows)
    sampled = torch.tensor([value for _, sample in pairs for value in sample.logprobs])
    apart = (logprobs[mask].cpu() - sampled).abs()
    is_exact = policy.dtype == torch.float32
    worst = float(apart.max() if is_exact else apart.median())
    if worst > (APART_MAX if is_exact else APART_MAX_HALF):
        raise ModelError(
            f"model {name!r} samples tokens with different probabilities than it then computes for them "
            f"({worst:.2g} nats apart): {OTHER_MODEL}"
        )
    if training:
        with third_party(name, "computing gradients", remedy):
            _try_gradients(policy, rows[0], name)


def _try_gradients(policy: Policy, row: TokenRow, name: str) -> None:
    """Run forward and backward passes as in training, for one short row. Large gradients stay factored, as in
    a step."""
    factored = policy.factored_gradients
    if factored is not None:
        factored.begin(policy.budget_tokens([row]))
    try:
        logprobs, _ = policy.logprobs([row])
        if not logprobs.requires_grad:
            raise ModelError(f"nothing of model {name!r} can be trained: {OTHER_MODEL}")
        logprobs.sum().backward()  # type: ignore[no-untyped-call]
    finally:
        if factored is not None:
            factored.clear()
        for _, parameter in policy.trainable_parameters():
            parameter.grad = None
        policy.release_freed_memory()
