"""Groups to train on."""

from collections.abc import Callable

import pytest
import torch

from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.policy import Policy


@pytest.fixture
def own_groups() -> Callable[..., list[ScoredGroup]]:
    """own_groups(policy, questions, reward, size=8, seed=0): by the policy, scored by `reward(text)`."""

    def make(policy, questions, reward, size=8, seed=0):
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        sampled = policy.generate([policy.render(q) for q in questions], size, rng=generator)
        return [
            own_group(policy, question, [ScoredCompletion.from_sample(s, reward(s.text)) for s in samples])
            for question, samples in zip(questions, sampled, strict=True)
        ]

    return make


def own_group(policy: Policy, question: str, completions: list[ScoredCompletion]) -> ScoredGroup:
    return ScoredGroup(
        publisher="me",
        task_id=bytes(16),
        task_name="toy",
        question=question,
        completions=tuple(completions),
        round=0,
        step=0,
        model=policy.family,
        tokenizer=policy.tokenizer_fingerprint,
        digest=None,
        external=False,
    )


@pytest.fixture
def external_group() -> Callable[..., ScoredGroup]:
    """external_group(question, (text, reward), ..., tokenizer=...): written by another model."""

    def make(question, *scored, tokenizer=bytes(8), token_count=None, bare=True):
        return ScoredGroup(
            publisher="other",
            task_id=bytes(16),
            task_name="toy",
            question=question,
            completions=tuple(
                ScoredCompletion(
                    text, reward, True, behaviour_logprob_sum=-1.0, token_count=token_count, bare=bare
                )
                for text, reward in scored
            ),
            round=0,
            step=0,
            model="other-1B",
            tokenizer=tokenizer,
            digest=bytes(32),
            external=True,
        )

    return make
