"""A generative verifier: a causal language model that is asked whether an answer is right.

Based on GenRM (arXiv 2408.15240): the probability of yes relative to yes and no. A word of several tokens
counts as a whole, so any tokenizer works that encodes the two words differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from swarmd.errors import ModelError
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.judges.batches import batches, tokens_max
from swarmd.judges.interface import Pair
from swarmd.judges.wording import NO, YES, messages
from swarmd.logprobs import TokenRow
from swarmd.model import ChatTokenizer
from swarmd.model.context import context_of
from swarmd.model.third_party import third_party
from swarmd.policy.engines import Subject, choose_logprobs

WORD_TOKENS_MAX = 8  # per word; enough even for tokenizers that spell it byte by byte


class GenerativeVerifier:
    """A loaded model on one device. Not trained: no gradient is computed."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: ChatTokenizer, name: str, dtype: torch.dtype = torch.float32
    ) -> None:
        """`name` is the model's. Raises ModelError if its tokenizer cannot distinguish yes from no."""
        self.name = f"generative {name}"
        self._model_name = name
        self._tokenizer = tokenizer
        frozen: PreTrainedModel = model.requires_grad_(False)
        frozen.train(False)
        self._tokens_max = tokens_max(context_of(frozen.config))
        self._words = _words(tokenizer, name)
        with out_of_memory_as_model_error("a smaller --judge"):
            self._engine = choose_logprobs(Subject(frozen, tokenizer.pad_id, dtype)).engine

    def probabilities(self, pairs: Sequence[Pair]) -> list[float]:
        """P(yes) / (P(yes) + P(no)) of each pair; 0 for a text too long for this model (`tokens_max`).

        Raises ModelError, also for NaN.
        """
        prompts = [tuple(self._tokenizer.prompt(messages(pair))) for pair in pairs]
        room = self._tokens_max - WORD_TOKENS_MAX
        found = [0.0] * len(pairs)
        fitting = [index for index, prompt in enumerate(prompts) if len(prompt) <= room]
        rows = [[TokenRow(prompts[index], word) for word in self._words] for index in fitting]
        # An engine that repeats the prompt for each word may compute the words of one prompt apart.
        units = rows if self._engine.shares_prompts else [[row] for of_prompt in rows for row in of_prompt]
        widths = [len(unit[0].prompt_ids) + len(unit) * WORD_TOKENS_MAX for unit in units]
        sums = torch.zeros(len(units), len(units[0]) if units else 0, dtype=torch.float64)
        for batch in batches(widths):
            sums[batch] = self._sums([row for place in batch for row in units[place]]).view(len(batch), -1)
        yes, no = torch.logsumexp(sums.view(len(fitting), 2, len(YES)), -1).unbind(-1)
        for index, odds in zip(fitting, (yes - no).tolist(), strict=True):
            found[index] = _share(odds)
        return found

    @torch.no_grad()
    def _sums(self, rows: Sequence[TokenRow]) -> torch.Tensor:
        """The logprob of the whole completion of each row, in float64 on the CPU."""
        with (
            out_of_memory_as_model_error("a smaller --judge"),
            third_party(self._model_name, "judging answers", "choose another model with --judge"),
        ):
            logprobs, mask = self._engine.logprobs(rows, 1.0)
        return (logprobs * mask).sum(-1).cpu().double()


def _share(odds: float) -> float:
    """The logistic function. NaN stays NaN, and the caller rejects it."""
    if odds >= 0 or math.isnan(odds):
        return 1 / (1 + math.exp(-odds))
    return math.exp(odds) / (1 + math.exp(odds))


def _words(tokenizer: ChatTokenizer, name: str) -> list[tuple[int, ...]]:
    """The tokens of each spelling of yes, then of no. Raises ModelError if they are not distinct."""
    words = [tokenizer.encode_completion(word, False, WORD_TOKENS_MAX + 1) for word in (*YES, *NO)]
    unknown = tokenizer.hf.unk_token_id
    distinct = len(set(words)) == len(words)
    if not distinct or any(not 0 < len(w) <= WORD_TOKENS_MAX or unknown in w for w in words):
        raise ModelError(
            f"the tokenizer of {name} has no distinct tokens for yes and no, so the model cannot say whether "
            "an answer is right: choose another causal language model with --judge"
        )
    return words
