"""Conversations in a model's own chat template: builds prompts, and finds the token that ends an answer.

Templates are third-party programs. Some drop the system message, some require content in parts, some raise.
So each template is tested with a probe, and used in the first way in which the whole input appears in the
output.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ConfigError, ModelError
from swarmd.model.sight import Sight
from swarmd.model.template_arguments import TemplateArguments, require_read
from swarmd.model.third_party import third_party
from swarmd.tasks.prompt import CLOSING_TAG, OPENING_TAG

Message = dict[str, Any]

PROBE = (
    {"role": "system", "content": "Write <answer>."},
    {"role": "user", "content": "What is 2 + 3 < 9?"},
)
LONG_CHARS = 2_000  # the longest questions of reasoning-gym's tasks; some templates truncate long messages
LONG_PROBE = (PROBE[0], {"role": "user", "content": " ".join(map(str, range(LONG_CHARS)))[:LONG_CHARS]})
PROBE_ANSWER = f"{OPENING_TAG}5{CLOSING_TAG}"
WITHOUT_INSTRUCTION = EMBEDDED_MODEL_DIR / "chat_template.jinja"
"""The template of the embedded model and of models trained from it. It omits the instruction on purpose:
these models have learned to answer without it, and would first have to learn to read it."""
REMEDY = (
    "pass what it needs with --template-arg NAME=VALUE, fix chat_template in the model's directory, or use "
    "another model"
)


class Chat:
    """A tokenizer's chat template, used in the way that preserves its input."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, arguments: TemplateArguments, sight: Sight | None = None
    ) -> None:
        """`sight`: how the model is shown images; None for a model without sight.

        Raises ModelError if the template loses the probe in every way of writing it, and ConfigError for
        arguments that the operator must not set.
        """
        self._hf: Any = tokenizer
        self._arguments = dict(arguments)
        self._name = str(tokenizer.name_or_path) or "this model"
        self._sight = sight
        _require_free(arguments)
        require_read(self._hf.get_chat_template(), self._name, arguments)
        self._write = self._find_writing()

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of `messages` (system, user), up to the start of the answer. Raises ModelError."""
        asked = [dict(message) for message in messages]
        if self._sight is None:
            return list(self._apply(asked, add_generation_prompt=True))
        text: str = self._apply(asked, add_generation_prompt=True, tokenize=False)
        expanded = self._sight.expanded(text)
        return list(self._hf(expanded, add_special_tokens=False, verbose=False)["input_ids"])

    def conversation(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of a conversation that ends with an answer, with the end of that answer. Raises
        ModelError."""
        return list(self._apply([dict(message) for message in messages]))

    def written(self, messages: Sequence[Mapping[str, str]]) -> list[Message]:
        """`messages` in the form that the template takes."""
        image = None if self._sight is None else self._sight.written
        return self._write([dict(message) for message in messages], image)

    def end_of_answer(self, ends: frozenset[int], marks: frozenset[int]) -> int | None:
        """The token that the template writes after an assistant's answer; None if it writes none.

        `ends` are tokens known to end an answer, `marks` all tokens that are not text. Some templates end an
        answer only by opening the next turn: the mark that opens it counts if it is one of `ends`.
        """
        answer = {"role": "assistant", "content": PROBE_ANSWER}
        found = self._mark_behind_answer([*PROBE, answer], marks)
        if found is not None:
            return found
        opened = self._mark_behind_answer([*PROBE, answer, PROBE[-1]], marks)
        return opened if opened in ends else None

    @cached_property
    def writes_answers(self) -> bool:
        """Whether the template writes answers, and not only questions."""
        return self._behind_answer([*PROBE, {"role": "assistant", "content": PROBE_ANSWER}]) is not None

    def _behind_answer(self, messages: Sequence[Message]) -> str | None:
        """What the template writes behind the last answer; None if it does not write that answer."""
        try:
            text: str = self._apply(messages, tokenize=False)
        except ModelError:  # a template for questions only
            return None
        _, answer, behind = text.rpartition(PROBE_ANSWER)
        return behind if answer else None

    def _mark_behind_answer(self, messages: Sequence[Message], marks: frozenset[int]) -> int | None:
        behind = self._behind_answer(messages)
        if behind is None:
            return None
        for token in self._hf(behind, add_special_tokens=False)["input_ids"]:
            if token in marks:
                return int(token)
            if self._hf.decode([token]).strip():  # ordinary text, which does not end an answer
                return None
        return None

    def _find_writing(self) -> Writing:
        if self._hf.chat_template == WITHOUT_INSTRUCTION.read_text(encoding="utf-8"):
            return _as_they_are
        whys: dict[str, None] = {}
        for writing in WRITINGS:
            self._write = writing
            try:
                lost = self._lost()
            except ModelError as error:
                cause = error.__cause__ or error
                lost = f"{type(cause).__name__}: {cause}".partition("\n")[0]
            if lost is None:
                return writing
            whys[lost] = None
        raise ModelError(f"the chat template of {self._name} cannot be used ({'; '.join(whys)}): {REMEDY}")

    def _lost(self) -> str | None:
        """The part of the probes that is missing in the prompt, or another reason why it cannot be used; None
        if fine."""
        ids = self.prompt(PROBE)
        if self.prompt(PROBE) != ids:
            return "it writes the same conversation differently each time"
        exact: str = self._hf.decode(ids, skip_special_tokens=False)
        prompt = _letters(exact)
        for part, message in zip(("instruction", "question"), PROBE, strict=True):
            if _letters(message["content"]) not in prompt:
                return f"the {part} is lost"
        if self._write in (_in_parts, _merged_in_parts) and str(self.written(PROBE)[-1]["content"]) in exact:
            return "content in parts is written as a list"
        if OPENING_TAG not in exact:
            return f"{OPENING_TAG} is changed"
        long: str = self._hf.decode(self.prompt(LONG_PROBE), skip_special_tokens=False)
        if _letters(LONG_PROBE[1]["content"]) not in _letters(long):
            return f"a question of {LONG_CHARS} characters is truncated"
        return None

    def _apply(self, messages: Sequence[Message], **wishes: bool) -> Any:
        with third_party(self._name, "writing a conversation with its chat template", REMEDY):
            return self._hf.apply_chat_template(
                self.written(messages), return_dict=False, **wishes, **self._arguments
            )


Writing = Callable[[Sequence[Message], str | None], list[Message]]
"""Writes messages in a form that a template may take, given the text that stands for an image."""


def _as_they_are(messages: Sequence[Message], image: str | None) -> list[Message]:  # noqa: ARG001
    return [dict(message) for message in messages]


def _merged(messages: Sequence[Message], image: str | None) -> list[Message]:
    """Put the instruction, if there is one, at the beginning of the question."""
    if messages[0]["role"] != "system":
        return _as_they_are(messages, image)
    system, user, *later = messages
    images, question = _without_images(user["content"], image)
    return [{**user, "content": f"{images}{system['content']}\n\n{question}"}, *later]


def _in_parts(messages: Sequence[Message], image: str | None) -> list[Message]:
    return [{**message, "content": _parts(message["content"], image)} for message in messages]


def _merged_in_parts(messages: Sequence[Message], image: str | None) -> list[Message]:
    return _in_parts(_merged(messages, image), image)


def _parts(content: str, image: str | None) -> list[dict[str, str]]:
    images, text = _without_images(content, image)
    return [{"type": "image"}] * (len(images) // len(image or " ")) + [{"type": "text", "text": text}]


def _without_images(content: str, image: str | None) -> tuple[str, str]:
    """The images at the beginning of a message, and the rest."""
    text = content
    while image and text.startswith(image):
        text = text.removeprefix(image)
    return content.removesuffix(text), text


WRITINGS = (_as_they_are, _merged, _in_parts, _merged_in_parts)
"""Ways to write a conversation, simplest first."""


def _letters(text: str) -> str:
    """The parts of `text` that a tokenizer must keep; some change whitespace and capitals."""
    return "".join(text.split()).casefold()


def _require_free(arguments: TemplateArguments) -> None:
    own = {"messages", *inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters}
    taken = sorted(own & arguments.keys())
    if taken:
        raise ConfigError(
            f"the template argument {taken[0]} is set by swarmd, not by the operator: remove it"
        )
