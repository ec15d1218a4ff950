"""What an attacker in an experiment writes: a right answer that carries a payload (arXiv 2511.09780). Pure.

The attacker is as strong as an outsider can be. It knows the right answer to each of its questions. It writes
as many right completions as wrong ones, which gives the group the largest possible advantage. It writes the
wrong ones in the plain form, so that a loss that pushes away from them pushes away from that form.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Literal

from pydantic import Field, model_validator

from swarmd.config.base import Slice

TEXT_CHARACTERS_MAX = 1_000  # a few hundred tokens, more than a completion in these experiments can have
PLAIN = "<answer>{answer}</answer>"


class Attack(Slice):
    """A payload, and the marker by which it is found in the text of honest nodes."""

    name: str = Field(pattern=r"^[\w.+-]{1,40}$")
    kind: Literal["out_of_context", "in_context", "length"]
    """out_of_context: text unrelated to the question. in_context: text that looks as if it belonged there.
    length: the payload is longer completions.
    """
    text: str = Field(max_length=TEXT_CHARACTERS_MAX)
    """The completion, including tags; {answer} stands for the right answer."""
    marker: str | None = Field(None, min_length=1)
    """A part of `text`; a completion that contains it carries the payload. Not for kind length."""
    answers: str | None = Field(None, min_length=1)
    """If set, only questions with this right answer are published; the marker may contain it."""

    def asks(self, answer: str) -> bool:
        """Whether a question with this right answer is published."""
        return self.answers in (None, answer)

    def right(self, answer: str) -> str:
        """Return a completion that is right and carries the payload."""
        return self.text.format(answer=answer)

    @model_validator(mode="after")
    def _text_holds_the_answer_and_the_marker(self) -> Attack:
        try:
            fields = {name for _, name, _, _ in Formatter().parse(self.text) if name is not None}
        except ValueError as error:
            raise ValueError(f"text: {error}: braces are for {{answer}} only") from error
        if fields != {"answer"}:
            raise ValueError("text must contain {answer}, for the right answer, and no other braces")
        if self.kind == "length":
            if self.marker is not None:
                raise ValueError("kind length is measured in tokens: remove marker")
        elif self.marker is None:
            raise ValueError(f"kind {self.kind} is measured by its marker: set marker to a part of text")
        elif self.marker not in (self.text if self.answers is None else self.right(self.answers)):
            raise ValueError(
                "marker does not occur in text, so nothing would be found: set it to a part of text"
            )
        return self


def wrong(answer: str) -> str:
    """Return a completion in the plain form whose answer resembles `answer` but differs: one digit raised by
    one, or the letters reversed.
    """
    changed = re.sub(r"\d", lambda digit: str((int(digit.group()) + 1) % 10), answer, count=1)
    return PLAIN.format(answer=changed if changed != answer else answer[::-1])
