"""Whether a policy rates tokens as it sampled them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swarmd.logprobs import TokenRow
from swarmd.policy import Policy


def assert_rated_as_sampled(policy: Policy, prompts: Sequence[Sequence[int]], completions: int) -> None:
    """The logprobs of `completions` sampled for each prompt equal those of all tokens at once."""
    groups = policy.generate(prompts, completions, rng=torch.Generator().manual_seed(1))
    rows = [
        TokenRow(prompt, each.token_ids)
        for prompt, group in zip(prompts, groups, strict=True)
        for each in group
    ]
    logprobs, mask = policy.logprobs(rows)
    sampled = torch.tensor([value for group in groups for each in group for value in each.logprobs])
    torch.testing.assert_close(logprobs[mask].detach(), sampled, atol=1e-4, rtol=1e-4)
