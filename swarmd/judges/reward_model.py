"""A reward model: a sequence classifier of transformers that reads a question with its answer.

With one output, its logistic is the probability, as in models trained on preferences (Bradley-Terry). With
two, the second means "right". Only safetensors are read, and no code of a model is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig

from swarmd.errors import ModelError
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.judges.batches import batches, tokens_max
from swarmd.judges.interface import Pair
from swarmd.judges.wording import conversation
from swarmd.model import ChatTokenizer, Located
from swarmd.model.context import context_of
from swarmd.model.loading import load_tokenizer
from swarmd.model.third_party import third_party
from swarmd.model.understood import require_understood

LABELS = (1, 2)
REMEDY = "choose a classifier with 1 or 2 labels with --reward-model"


class RewardModel:
    """A loaded classifier on one device."""

    def __init__(self, model: Any, tokenizer: ChatTokenizer, name: str) -> None:
        """`name` is the model's. Raises ModelError unless it has 1 or 2 labels."""
        require_labels(model.config, name)
        self.name = f"reward_model {name}"
        self._model_name = name
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._tokens_max = tokens_max(context_of(model.config))

    def probabilities(self, pairs: Sequence[Pair]) -> list[float]:
        """One per pair; 0 for a text too long for this model (`tokens_max`). Raises ModelError."""
        texts = [self._tokens(pair) for pair in pairs]
        found = [0.0] * len(pairs)
        fitting = [index for index, ids in enumerate(texts) if len(ids) <= self._tokens_max]
        for batch in batches([len(texts[index]) for index in fitting]):
            of_batch = [fitting[place] for place in batch]
            for index, probability in zip(of_batch, self._batch([texts[i] for i in of_batch]), strict=True):
                found[index] = probability
        return found

    def _tokens(self, pair: Pair) -> list[int]:
        return self._tokenizer.conversation(conversation(pair))

    @torch.no_grad()
    def _batch(self, texts: Sequence[Sequence[int]]) -> list[float]:
        longest = max(map(len, texts))
        device = next(self._model.parameters()).device
        # The model scores the last token that is not padding, so no text may end with it, and many end alike.
        ends = {text[-1] for text in texts}
        pad = next(token for token in range(len(ends) + 1) if token not in ends)
        self._model.config.get_text_config().pad_token_id = pad
        ids = torch.tensor([[*t, *[pad] * (longest - len(t))] for t in texts], device=device)
        lengths = torch.tensor([len(t) for t in texts], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]
        with (
            out_of_memory_as_model_error("a smaller --reward-model"),
            third_party(self._model_name, "judging answers", REMEDY),
        ):
            logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask.long()).logits
        scores = logits.cpu().double()  # Apple's GPUs have no float64
        odds = scores[:, 0] if scores.shape[-1] == 1 else scores[:, 1] - scores[:, 0]
        return [float(p) for p in torch.sigmoid(odds)]


def require_labels(config: PretrainedConfig, name: str) -> None:
    """Raise ModelError unless the classifier has 1 or 2 labels."""
    if config.num_labels not in LABELS:
        raise ModelError(
            f"the reward model {name} has {config.num_labels} labels, and it is unknown which of them means "
            f"right: {REMEDY}"
        )


def load_reward_model(located: Located, dtype: torch.dtype, device: str) -> RewardModel:
    """The classifier in `located`. Raises ModelError if it is not one, is damaged, or has other labels."""
    name, folder = located.base, located.folder
    if folder is None or not any(folder.glob("*.safetensors")):
        raise ModelError(f"{name} has no *.safetensors of a sequence classifier: {REMEDY}")
    with (
        out_of_memory_as_model_error("a smaller --reward-model"),
        third_party(name, "loading the reward model", REMEDY),
    ):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not any("SequenceClassification" in each for each in config.architectures or ()):
            raise ModelError(
                f"{name} is not a sequence classifier: {REMEDY}, or a language model with --judge"
            )
        require_labels(config, name)
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, info = loaded
        require_understood(model, info["unexpected_keys"], folder)
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise ModelError(
            f"the reward model {name} lacks {len(missing)} weights, such as {missing[0]}, and "
            "would judge at random: copy or download it again"
        )
    with (
        out_of_memory_as_model_error("a smaller --reward-model, another --device"),
        third_party(name, "moving it to its device", "another --device"),
    ):
        model = model.to(device)
    return RewardModel(model, ChatTokenizer(load_tokenizer(folder, name)), name)
