"""One padded row per completion, through transformers' own forward. Works for any architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.hardware.autocast import autocast
from swarmd.logprobs.checkpointing import checkpointed, keep_activations
from swarmd.logprobs.interface import TokenRow
from swarmd.model.sight import Sight
from swarmd.rollout.seeing import inputs_of

if TYPE_CHECKING:
    from peft import PeftModel

LOGIT_BYTES = 20  # a logit as computed, in float32, and the gradients of both
TOKEN_BYTES = 2**18  # of logits; a token with more counts several times. Fits a vocab_size of 13,000


def tokens_weight(vocab_size: int) -> int:
    """How many times a token counts in a budget, because all its logits exist at once."""
    return -(-vocab_size * LOGIT_BYTES // TOKEN_BYTES)


class PaddedLogprobs:
    """Repeats the prompt for each of its completions. `recompute` as in `PackedLogprobs`."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        pad_id: int,
        dtype: torch.dtype,
        recompute: Callable[[], bool] = keep_activations,
        sight: Sight | None = None,
    ) -> None:
        """`sight`: how the model is shown images; None for a model without sight."""
        self._sight = sight
        self.model = model
        self.device = next(model.parameters()).device
        self._pad_id = pad_id
        self._dtype = dtype
        self._recompute = recompute
        vocab_size = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
        # With a vocabulary of 152k tokens, the logits of 16,384 positions would take 50 GB.
        self._weight = tokens_weight(vocab_size)

    @property
    def factored(self) -> None:
        """None, because autograd itself sums this engine's gradients."""
        return None

    @property
    def shares_prompts(self) -> bool:
        return False

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        return len(rows) * max(len(row) for row in rows) * self._weight

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        logprobs, mask, _ = self._compute(rows, temperature)
        return logprobs, mask

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        seen: list[Tensor] = []
        head = cast(nn.Module, self.model.get_output_embeddings())
        hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        try:
            logprobs, mask, index = self._compute(rows, temperature)
        finally:
            hook.remove()
        states = seen[0].gather(1, index[..., None].expand(-1, -1, seen[0].shape[-1]))
        return logprobs, mask, states.masked_fill(~mask[..., None], 0.0)

    def _compute(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Logprobs and mask [B, T], and the index [B, T] of each in the logits kept."""
        prompt_lengths = torch.tensor([len(row.prompt_ids) for row in rows], device=self.device)
        lengths = torch.tensor([len(row.completion_ids) for row in rows], device=self.device)
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad_id)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = torch.tensor((*row.prompt_ids, *row.completion_ids))
        ids = ids.to(self.device)
        # Padding is on the right, where real tokens never attend to it, so no mask is needed. Logits are
        # needed from the last token of the shortest prompt on.
        first = int(prompt_lengths.min()) - 1
        recompute = torch.is_grad_enabled() and self._recompute()
        with autocast(self.device, self._dtype), checkpointed(self.model) if recompute else nullcontext():
            prompts = [row.prompt_ids for row in rows]
            inputs = inputs_of(self.model, self._sight, ids, prompts, left_padded=False)
            # An index rather than a number: see `rollout/eager.py`.
            kept = torch.arange(first, width, device=self.device)
            logits: Tensor = self.model(**inputs, use_cache=False, logits_to_keep=kept).logits
        scaled = logits[:, :-1].float() / temperature
        targets = ids[:, first + 1 :]
        logprobs = scaled.gather(-1, targets[..., None])[..., 0] - scaled.logsumexp(
            dim=-1
        )  # [B, width - first - 1]
        token = torch.arange(int(lengths.max()), device=self.device)
        mask = token < lengths[:, None]
        index = (prompt_lengths[:, None] - 1 - first + token).clamp(max=logprobs.shape[1] - 1)
        return logprobs.gather(1, index).masked_fill(~mask, 0.0), mask, index
