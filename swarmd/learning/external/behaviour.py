"""What is believed of a publisher's claim how likely its text was under the policy that wrote it.

The claim is a stranger's word. Whoever claims that its text was next to impossible asks for the largest
weight, so a claim counts only down to what text written by a model can be.
"""

from __future__ import annotations

import torch
from torch import Tensor

from swarmd.learning.external.batch import ExternalBatch

NATS_PER_BYTE_MAX = 3.0
"""Least likely text that a policy is believed to have written itself. English is below 1 nat a byte under a
small model, random digits are 2.3, random bytes 5.5: nothing worth sharing lies above."""


def believed_logprob_sums(batch: ExternalBatch) -> Tensor:
    """[B], nats a completion, in [-3 nats a byte, 0]. Where nothing was claimed 0, i.e. mu = 1.

    mu = 1 gives the smallest weight pi / mu there is; LUFFY (arXiv 2504.14945) assumes it too.
    """
    least = -NATS_PER_BYTE_MAX * (batch.text_bytes + 1)  # the end of the text is one more symbol
    claimed = torch.nan_to_num(batch.behaviour_logprob_sums, nan=0.0)
    return claimed.clamp(max=0.0).maximum(least)


def own_logprob_sums(batch: ExternalBatch) -> Tensor:
    """[B]: the text under the policy now, nats a completion, without gradient."""
    return batch.logprobs.detach().masked_fill(~batch.mask, 0.0).sum(dim=1)
