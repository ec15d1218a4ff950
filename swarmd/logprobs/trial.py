"""One trial for all ways of computing a model: a few rows, compared with transformers' plain forward.

Our engines are used for a model only if their logprobs equal those of the model's own forward. The same holds
for transformers' own cached decoding. The trial detects models whose output changes with a cache, or whose
tokens attend to later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swarmd.images import CHANNELS, Image
from swarmd.logprobs.interface import LogprobsEngine, TokenRow
from swarmd.logprobs.padded import PaddedLogprobs
from swarmd.model.sight import Sight
from swarmd.rollout.interface import ReplayingEngine

if TYPE_CHECKING:
    from peft import PeftModel

UNFIT = (AttributeError, TypeError, KeyError, IndexError, ValueError, RuntimeError, AssertionError)
"""Errors raised if a model does not accept the inputs, or lacks the parts, that an engine relies on."""
TOKENS = 10  # distinct ones in a trial, spread over the vocabulary
TOLERANCE = 1e-3  # of the spread of the logprobs, in float32; rounding causes a tenth of it
TOLERANCE_HALF = 0.2  # the same for the median token in half precision; a wrong forward is off by about 1
FLOOR = 1e-5  # nats: the rounding error between logprobs that are all alike


class Trial:
    """The trial's rows, and their logprobs by the forward of `model`, computed in `dtype`.

    In half precision, single tokens are chaotic even in transformers' own forward, so the median decides.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        vocab_size: int,
        pad_id: int,
        dtype: torch.dtype,
        sight: Sight | None = None,
    ) -> None:
        """A model with `sight` is shown images too."""
        self.dtype = dtype
        self.rows = _rows(vocab_size, sight)
        plain = PaddedLogprobs(model, pad_id=pad_id, dtype=dtype, sight=sight)
        self._expected, self._mask = plain.logprobs(self.rows, 1.0)
        self._spread = float(self._expected[self._mask].std())

    def of_logprobs(self, engine: LogprobsEngine) -> str | None:
        """Why this engine is wrong for the model; None if it is right. Raises whatever the engine raises."""
        with torch.no_grad():
            return self._why_different(engine.logprobs(self.rows, 1.0)[0])

    def of_decoding(self, engine: ReplayingEngine) -> str | None:
        """The same for an engine that writes completions."""
        width = self._mask.shape[1]
        # Anything after a shorter completion is ignored.
        completions = torch.tensor([(row.completion_ids * width)[:width] for row in self.rows])
        return self._why_different(engine.replay([row.prompt_ids for row in self.rows], completions))

    def _why_different(self, found: Tensor) -> str | None:
        apart = (found - self._expected)[self._mask].abs()
        if self.dtype == torch.float32:
            difference, allowed = float(apart.max()), TOLERANCE * self._spread + FLOOR
        else:
            difference, allowed = float(apart.median()), TOLERANCE_HALF * self._spread + FLOOR
        # A comparison with NaN is false. A model that computes NaN is reported where it is used.
        if difference > allowed:
            return f"it differs by {difference:.2g} nats, but rounding explains only {allowed:.2g}"
        return None


def _rows(vocab_size: int, sight: Sight | None) -> tuple[TokenRow, ...]:
    """Two prompts and four completions of different lengths, to detect errors in padding and packing.

    For a model with sight, two more prompts have different images but equal tokens.
    """
    t = [(index + 1) * vocab_size // (TOKENS + 1) for index in range(TOKENS)]
    first, second = (t[0], t[1], t[2], t[3], t[4]), (t[5], t[6])
    rows = (
        TokenRow(first, (t[7], t[8], t[9])),
        TokenRow(first, (t[9],)),
        TokenRow(first, (t[2], t[7])),
        TokenRow(second, (t[8], t[4], t[3], t[1], t[0])),
    )
    if sight is None:
        return rows
    shown = (Image(1, 1, bytes(CHANNELS)), Image(1, 1, bytes((255, 128, 0))))
    prompts = [sight.prompt((t[0], sight.token, t[1]), (image,)) for image in shown]
    return (*rows, *(TokenRow(prompt, (t[7], t[8])) for prompt in prompts))
