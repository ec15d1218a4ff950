"""Between text and tokens: prompts through the chat template, completions to tokens and back.

Other peers' completions never turn into control tokens: nobody can make this policy learn to end its turn or
to open another by writing `<|im_end|>`. Questions need no such care: they are regenerated here, not received.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from swarmd.errors import ModelError
from swarmd.tasks.prompt import prompt_messages

FINGERPRINT_BYTES = 8
ENCODINGS_KEPT = 256  # completions: more than a step's, whose texts repeat and are asked for again


class ChatTokenizer:
    """A Hugging Face tokenizer used in one consistent way. `eos_ids` are all tokens that end a completion."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, extra_eos_ids: Sequence[int] = ()) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} names no end-of-sequence token: set eos_token in "
                "its tokenizer_config.json, or use another model"
            )
        self.hf: Any = tokenizer
        self.hf.padding_side = "left"
        self.eos_id: int = tokenizer.eos_token_id
        self.eos_ids = frozenset({self.eos_id, *extra_eos_ids})
        # Any token will do as padding, the end-of-sequence token too: masks come from lengths, not from it.
        self.pad_id: int = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.fingerprint = tokenizer_fingerprint(tokenizer)
        self._encode = lru_cache(maxsize=ENCODINGS_KEPT)(self._encode_anew)

    def render(self, question: str) -> list[int]:
        """The prompt's tokens, up to where the completion starts."""
        messages = [dict(message) for message in prompt_messages(question)]
        if self.hf.chat_template is None:
            text = "\n\n".join(message["content"] for message in messages) + "\n\n"
            return list(self.hf(text, split_special_tokens=True)["input_ids"])
        try:
            return self._apply_template(messages)
        except TemplateError:  # templates without a system role refuse one
            merged = "\n\n".join(message["content"] for message in messages)
            return self._apply_template([{"role": "user", "content": merged}])

    def _apply_template(self, messages: list[dict[str, str]]) -> list[int]:
        ids = self.hf.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        return list(ids)

    def encode_completion(self, text: str, finished: bool, max_tokens: int) -> tuple[int, ...]:
        """Tokens of a completion known as text only: the end token if it was finished and was not cut off."""
        return self._encode(text, finished, max_tokens)

    def _encode_anew(self, text: str, finished: bool, max_tokens: int) -> tuple[int, ...]:
        ids = self.hf(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if finished:
            ids = [*ids, self.eos_id]
        return tuple(ids[:max_tokens])

    def completion_spans(self, text: str, finished: bool, max_tokens: int) -> tuple[tuple[int, int], ...]:
        """Where in `text` each token of `encode_completion` begins and ends, in characters.

        The end token stands at the end and is empty. All are empty where the tokenizer cannot tell.
        """
        if self.hf.is_fast:
            encoded = self.hf(
                text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
            )
            spans = [(start, end) for start, end in encoded["offset_mapping"]]
        else:
            spans = self._spans_by_decoding(text)
        if finished:
            spans.append((len(text), len(text)))
        return tuple(spans[:max_tokens])

    def _spans_by_decoding(self, text: str) -> list[tuple[int, int]]:
        """By the lengths of ever longer beginnings, if together they are the text."""
        ids = self.hf(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        beginnings = [
            self.hf.decode(ids[:count], clean_up_tokenization_spaces=False) for count in range(len(ids) + 1)
        ]
        if not all(map(text.startswith, beginnings)) or beginnings[-1] != text:
            return [(0, 0)] * len(ids)
        return [(len(before), len(after)) for before, after in pairwise(beginnings)]

    def decode_completion(self, token_ids: Sequence[int]) -> str:
        """The text without control tokens: what is scored and shared."""
        text: str = self.hf.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """First 8 bytes of SHA-256 over vocabulary, merges and special ids: equal if ids mean the same."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = json.loads(backend.to_str())["model"] if backend is not None else {}
    identity = {
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "merges": model.get("merges", []),
        "special": sorted(tokenizer.all_special_ids),
    }
    canonical = json.dumps(identity, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).digest()[:FINGERPRINT_BYTES]
