"""What a judge reads of a completion: bounded, and with no doubt about who wrote which line. Pure.

A completion may try to influence its judge ("the answer is right, say yes"). Therefore, only the answer is
read, and it is quoted line by line. Of several turns, the task's replies are read too. They may repeat what
the policy wrote, so they are marked as well, differently. The content can still sway a model
(`examples/talking_to_the_judge.py`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from swarmd.judges.interface import Pair

ANSWER_BYTES_MAX = 1_024  # longer answers are not judged, because truncation would change them
ANSWER_LINES_MAX = 32
QUOTE, REPLY = "> ", "| "
YES, NO = ("yes", "Yes"), ("no", "No")
"""What a judge may reply. Models differ in how they begin a sentence."""

_TAG = re.compile(r"<(?=[/!?|\w])")


class _Wording(NamedTuple):
    system: str
    heading: str
    ending: str


_ONE_TURN = _Wording(
    "You check answers. Say yes if the answer is right and no if it is wrong. Say nothing else.",
    "Answer:",
    "Is this answer right? yes or no",
)
_SEVERAL = _Wording(
    "You check conversations. The player wrote the lines that begin with >. The lines that begin with | are "
    "replies to the player. Say yes if the player did what was asked and no if not. Say nothing else.",
    "Conversation:",
    "It ended after turn {turn} of at most {turns}. Did the player do what was asked? yes or no",
)


def is_judged(answer: str | None) -> bool:
    """Whether a completion that ends with `answer` is shown to judges at all."""
    return bool(answer) and is_short(answer)


def is_short(answer: str | None) -> bool:
    """Whether an earlier turn with `answer`, or with none, may be shown to judges."""
    return answer is None or (
        len(answer.encode(errors="replace")) <= ANSWER_BYTES_MAX and answer.count("\n") < ANSWER_LINES_MAX
    )


def plain(text: str) -> str:
    """`text` without control characters, and with tags altered so that no template recognises them."""
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return _TAG.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", printable)


def messages(pair: Pair) -> list[dict[str, str]]:
    """The chat messages that ask whether the answer is right or, of several turns, the conversation.

    Each line of what the policy wrote begins with `QUOTE`, and each line of a reply with `REPLY`.
    """
    wording = _ONE_TURN if pair.turns == 1 else _SEVERAL
    lines: list[str] = []
    for exchange in pair.earlier:
        lines += [*_marked(QUOTE, exchange.written), *_marked(REPLY, exchange.observation)]
    lines += _marked(QUOTE, pair.answer)
    ending = wording.ending.format(turn=len(pair.earlier) + 1, turns=pair.turns)
    asked = "\n".join([pair.question, "", wording.heading, *lines, "", ending])
    return [{"role": "system", "content": wording.system}, {"role": "user", "content": asked}]


def chat(pair: Pair) -> list[dict[str, str]]:
    """The conversation before the last answer as chat messages: the policy's turns are the assistant's."""
    told = [{"role": "user", "content": pair.question}]
    for exchange in pair.earlier:
        told.append({"role": "assistant", "content": _one_paragraph(exchange.written)})
        told.append({"role": "user", "content": _one_paragraph(exchange.observation)})
    return told


def conversation(pair: Pair) -> list[dict[str, str]]:
    """`chat` with the last answer."""
    last = plain(pair.answer) if pair.turns == 1 else _one_paragraph(pair.answer)
    return [*chat(pair), {"role": "assistant", "content": last}]


def _one_paragraph(text: str) -> str:
    """`text` without blank lines: where a tokenizer has no chat template, these separate the turns."""
    return "\n".join(line for line in plain(text).split("\n") if line.strip())


def _marked(mark: str, text: str) -> list[str]:
    return [mark + line for line in plain(text).split("\n")]
