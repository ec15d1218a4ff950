"""Converts between text and tokens: prompts through the chat template, completions to tokens and back.

Other peers' completions never become control tokens, so no peer can teach this policy to end its turn or open
another by writing `<|im_end|>`. Questions need no such care, because they are regenerated here. Answer tags
are text, even if the tokenizer has special tokens for them, because they are scored and published.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

from transformers import PreTrainedTokenizerBase

from swarmd.errors import ConfigError, ModelError
from swarmd.images import Images, Prompt
from swarmd.model.chat import Chat, Message
from swarmd.model.sight import BLANK, Sight
from swarmd.model.sight_kinds import REMEDY
from swarmd.model.template_arguments import TemplateArguments
from swarmd.tasks.prompt import CLOSING_TAG, OPENING_TAG, Example, Exchange, extract_answer, prompt_messages

FINGERPRINT_BYTES = 8
ENCODINGS_KEPT = 256  # completions: more than in a step, where texts repeat and are encoded several times
PROBE_ANSWERS = ("5", "-3.5, x", "[1, 2]")

Span = tuple[int, int]


class ChatTokenizer:
    """A Hugging Face tokenizer used in one consistent way.

    `eos_ids` are all tokens that end a completion: the tokenizer's end token, `extra_eos_ids`, and the token
    that the chat template writes after an answer. `eos_id` is the one used to end external finished text in
    training: the template's, or else the tokenizer's.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        extra_eos_ids: Sequence[int] = (),
        template_args: TemplateArguments | None = None,
        sight: Sight | None = None,
    ) -> None:
        """`template_args` are passed to the chat template. `sight`: how the model is shown images.

        Raises ModelError if the tokenizer or template loses questions, images or answers, or if no token
        ends an answer.
        """
        self.hf: Any = tokenizer
        self.sight = sight
        self.hf.padding_side = "left"
        self.fingerprint = tokenizer_fingerprint(tokenizer)
        known_ends = [*_own_ends(self.hf), *extra_eos_ids]
        marks = _marks(self.hf)
        if self.hf.chat_template is None and template_args:
            raise ConfigError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template, so nothing reads "
                f"the template argument {next(iter(template_args))}: remove --template-arg"
            )
        self._chat = None if self.hf.chat_template is None else Chat(tokenizer, template_args or {}, sight)
        end = None if self._chat is None else self._chat.end_of_answer(frozenset(known_ends), marks)
        ends = known_ends if end is None else [end, *known_ends]
        if not ends:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no end-of-sequence token: set eos_token in "
                "its tokenizer_config.json, or use another model"
            )
        self.eos_id = ends[0]
        self.eos_ids = frozenset(ends)
        # Any token works as padding, even the end token, because masks are computed from lengths.
        self.pad_id: int = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._tags = _tags(self.hf, marks)
        self._controls = (_special(self.hf) | self.eos_ids) - set(self._tags.values())
        # Special tokens are split when external text spells them. These would not be, so the text is cut
        # inside.
        unsplit = (marks - _special(self.hf)) & (self.eos_ids | frozenset(self._render_probe()))
        self._cuts = _pattern([*self._tags, *(_text(self.hf, token) for token in unsplit)])
        spelled = (self._controls | marks) - set(self._tags.values())
        self._spelled_controls = _pattern([_text(self.hf, token) for token in spelled])
        self._dropped = self._controls - {self.hf.unk_token_id} | self.eos_ids  # unknown characters are text
        self._encode = lru_cache(maxsize=ENCODINGS_KEPT)(self._encode_anew)
        self._require_answers_kept()
        if sight is not None:
            self.render("", images=(BLANK,))

    def render(
        self,
        question: str,
        examples: Sequence[Example] = (),
        exchanges: Sequence[Exchange] = (),
        images: Images = (),
    ) -> Prompt:
        """The prompt's tokens, up to the start of the completion, or of its next turn.

        Raises ModelError, also for images that the model cannot see.
        """
        shown = (*(image for example in examples for image in example.images), *images)
        if not shown:
            return Prompt(self._ids_of(question, examples, exchanges))
        if self.sight is None or self._chat is None:
            lacking = "vision tower" if self.sight is None else "chat template"
            raise ModelError(f"{self.hf.name_or_path} cannot be shown images without a {lacking}: {REMEDY}")
        seen = [
            example._replace(question=self.sight.asked(example.question, example.images))
            for example in examples
        ]
        asked = self.sight.asked(question, images)
        return self.sight.prompt(self._ids_of(asked, seen, exchanges), shown)

    def _ids_of(self, question: str, examples: Sequence[Example], exchanges: Sequence[Exchange]) -> list[int]:
        if self._chat is not None:
            messages = prompt_messages(question, examples, list(map(self._without_controls, exchanges)))
            return self._with_one_beginning(self._chat.prompt(messages))
        ids = list(self.hf(self.asked(question, examples, exchanges), split_special_tokens=True)["input_ids"])
        while ids and ids[-1] in self._controls:  # some tokenizers end every text, but this one continues
            ids.pop()
        return ids

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation that does not come from a task. Spelled control tokens are replaced
        with spaces. Raises ModelError."""
        clean = self._clean(messages)
        if self._chat is not None:
            return self._with_one_beginning(self._chat.prompt(clean))
        text = "\n\n".join(message["content"] for message in clean) + "\n\n"
        ids = list(self.hf(text, split_special_tokens=True)["input_ids"])
        while ids and ids[-1] in self._controls:
            ids.pop()
        return ids

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation that ends with an answer, as classifiers are trained on it: with the
        end that the chat template writes. Spelled control tokens are replaced with spaces. Raises ModelError.
        """
        if self._chat is not None and self._chat.writes_answers:
            return self._with_one_beginning(self._chat.conversation(self._clean(messages)))
        [*before, answer] = self._clean(messages)
        return self.prompt(before) + list(self._encode_anew(answer["content"], False, None))

    def _clean(self, messages: Sequence[Message]) -> list[Message]:
        return [{**message, "content": self._without_spelled(message["content"])} for message in messages]

    def _without_spelled(self, text: str) -> str:
        """`text` with spelled control tokens replaced with spaces, also those that are spelled only after the
        tokenizer has normalised the text."""
        spelled = self._spelled_controls
        if spelled is None:
            return text
        clean = spelled.sub(" ", text)
        normalizer = self.hf.backend_tokenizer.normalizer if self.hf.is_fast else None
        normal: str = clean if normalizer is None else normalizer.normalize_str(clean)
        return spelled.sub(" ", normal) if spelled.search(normal) else clean

    def asked(
        self, question: str, examples: Sequence[Example] = (), exchanges: Sequence[Exchange] = ()
    ) -> list[Message] | str:
        """A question's form: the conversation for the chat template, or plain text if there is none."""
        messages = prompt_messages(question, examples, exchanges)
        if self._chat is not None:
            return self._chat.written(messages)
        return "\n\n".join(message["content"] for message in messages) + "\n\n"

    def _without_controls(self, exchange: Exchange) -> Exchange:
        """The exchange with spelled control tokens replaced with spaces. A peer or a policy may have written
        them, and the template would open a turn for them."""
        return Exchange(*map(self._without_spelled, exchange))

    def _with_one_beginning(self, ids: list[int]) -> list[int]:
        """Remove repeated beginning tokens: template and tokenizer may both have added one."""
        while len(ids) > 1 and ids[0] == ids[1] == self.hf.bos_token_id:
            ids = ids[1:]
        return ids

    def encode_completion(self, text: str, finished: bool, max_tokens: int) -> tuple[int, ...]:
        """Tokens of a completion known only as text, with the end token if it was finished and is not cut
        off."""
        return self._encode(text, finished, max_tokens)

    def _encode_anew(self, text: str, finished: bool, max_tokens: int | None) -> tuple[int, ...]:
        ids: list[int] = []
        for piece, _, tag in self._pieces(text):
            ids += self._ids(piece) if tag is None else [tag]
        if finished:
            ids.append(self.eos_id)
        return tuple(ids[:max_tokens])

    def completion_spans(self, text: str, finished: bool, max_tokens: int) -> tuple[Span, ...]:
        """The start and end in `text`, in characters, of each token of `encode_completion`.

        The end token is an empty span at the end. All spans are empty if the tokenizer cannot tell.
        """
        spans: list[Span] = []
        for piece, offset, tag in self._pieces(text):
            within = self._spans(piece, max_tokens - len(spans)) if tag is None else [(0, len(piece))]
            spans += [(start + offset, end + offset) for start, end in within]
        if finished:
            spans.append((len(text), len(text)))
        return tuple(spans[:max_tokens])

    def _pieces(self, text: str) -> Iterator[tuple[str, int, int | None]]:
        """Parts of `text` that are encoded separately: each with its position, and its token if it is an
        answer tag."""
        start = 0
        for found in () if self._cuts is None else self._cuts.finditer(text):
            tag = self._tags.get(found[0])
            cut = found.start() if tag is not None else found.start() + 1  # cut inside it, so it stays text
            if cut > start:
                yield text[start:cut], start, None
            start = cut
            if tag is not None:
                yield found[0], start, tag
                start = found.end()
        if start < len(text) or start == 0:
            yield text[start:], start, None

    def _ids(self, text: str) -> list[int]:
        """The tokens without control tokens. A tokenizer that normalises text, for example to lower case, can
        make one of text that contains none."""
        ids = self.hf(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [token for token in ids if token not in self._dropped]

    def _spans(self, text: str, max_tokens: int) -> list[Span]:
        if self.hf.is_fast:
            encoded = self.hf(
                text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
            )
            placed = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            return [(start, end) for token, (start, end) in placed if token not in self._dropped]
        return self._spans_by_decoding(text, max(0, max_tokens))

    def _spans_by_decoding(self, text: str, max_tokens: int) -> list[Span]:
        """Spans of the first `max_tokens` from the lengths of growing prefixes, if these add up to the text.
        The time grows with the square of `max_tokens`, and another peer may have written the text.
        """
        ids = self._ids(text)
        beginnings = [
            self.hf.decode(ids[:count], clean_up_tokenization_spaces=False)
            for count in range(min(len(ids), max_tokens) + 1)
        ]
        is_whole = len(ids) > max_tokens or beginnings[-1] == text
        if not is_whole or not all(map(text.startswith, beginnings)):
            return [(0, 0)] * len(ids)
        return [(len(before), len(after)) for before, after in pairwise(beginnings)]

    def decode_completion(self, token_ids: Sequence[int]) -> str:
        """The text without control tokens, as scored and published."""
        written = [token for token in token_ids if token not in self._controls]
        text: str = self.hf.decode(written, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _render_probe(self) -> list[int]:
        return [] if self._chat is None else self._chat.prompt(prompt_messages(""))

    def _require_answers_kept(self) -> None:
        """Raise ModelError unless an answer written by this model would be scored correctly."""
        for answer in PROBE_ANSWERS:
            text = f"So it is {OPENING_TAG}{answer}{CLOSING_TAG}"
            read = self.decode_completion(self._encode_anew(text, True, len(text) + 1))
            if extract_answer(read) != answer:
                raise ModelError(
                    f"the tokenizer of {self.hf.name_or_path} changes text: {text!r} is read back "
                    f"as {read!r}, so no answer would count: use another model"
                )


def _own_ends(tokenizer: Any) -> list[int]:
    """The end token. If it is named but missing in the vocabulary, its id is another token's, and it is
    ignored."""
    end: int | None = tokenizer.eos_token_id
    return [] if end is None or _text(tokenizer, end) != tokenizer.eos_token else [end]


def _special(tokenizer: Any) -> frozenset[int]:
    """Tokens that the tokenizer itself declares as special."""
    added = tokenizer.added_tokens_decoder
    return frozenset(_special_ids(tokenizer)) | {token for token in added if added[token].special}


def _special_ids(tokenizer: Any) -> list[int]:
    """Special ids, without the None of tokens that are named but missing in the vocabulary."""
    return [token for token in tokenizer.all_special_ids if token is not None]


def _marks(tokenizer: Any) -> frozenset[int]:
    """Tokens that are not ordinary text, special or not: added tokens that are not just whitespace."""
    added = tokenizer.added_tokens_decoder
    return _special(tokenizer) | {token for token in added if added[token].content.strip()}


def _tags(tokenizer: Any, marks: frozenset[int]) -> dict[str, int]:
    """Special tokens that are answer tags."""
    texts = {_text(tokenizer, token): token for token in marks & _special(tokenizer)}
    return {tag: texts[tag] for tag in (OPENING_TAG, CLOSING_TAG) if tag in texts}


def _text(tokenizer: Any, token: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(token))


def _pattern(texts: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of `texts`, longest first."""
    ordered = sorted({text for text in texts if text})
    return re.compile(_any_of(ordered)) if ordered else None


def _any_of(ordered: Sequence[str]) -> str:
    """A regular expression for sorted texts, of which the longest is found.

    Texts share their beginnings in it. Python tries one alternative after the other, and some tokenizers have
    thousands of control tokens: a text of `<` only took a second per 40 KiB.
    """
    first, last = ordered[0], ordered[-1]
    differs = (at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])
    shared = first[: next(differs, len(first))]
    ends = [text[len(shared) :] for text in ordered]
    branches = [_any_of(list(group)) for _, group in groupby(filter(None, ends), key=itemgetter(0))]
    behind = f"(?:{'|'.join(branches)})" if branches else ""
    return re.escape(shared) + behind + ("?" if branches and "" in ends else "")


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """First 8 bytes of SHA-256 over vocabulary, merges and special ids: equal if ids have the same
    meaning."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = json.loads(backend.to_str())["model"] if backend is not None else {}
    identity = {
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "merges": model.get("merges", []),
        "special": sorted(_special_ids(tokenizer)),
    }
    canonical = json.dumps(identity, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).digest()[:FINGERPRINT_BYTES]
