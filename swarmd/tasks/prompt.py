"""Turns a question into a prompt, and finds the answer in a completion. Text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swarmd.images import Images

_SYSTEM = (
    "Think briefly, then give the final answer inside <answer></answer> tags, and nothing else inside them."
)
OPENING_TAG, CLOSING_TAG = "<answer>", "</answer>"


class Exchange(NamedTuple):
    """A turn that the policy has already written, and the environment's reply to it."""

    written: str
    observation: str


class Example(NamedTuple):
    """A question, with a right answer without tags."""

    question: str
    answer: str
    """For a task of several turns: the last answer."""
    exchanges: tuple[Exchange, ...] = ()
    """The earlier turns, with tags."""
    images: Images = ()
    """Shown with the question."""


def tagged(answer: str) -> str:
    """An answer in the format that a policy should use."""
    return f"{OPENING_TAG}{answer}{CLOSING_TAG}"


def prompt_messages(
    question: str, examples: Sequence[Example] = (), exchanges: Sequence[Exchange] = ()
) -> list[dict[str, str]]:
    """The chat messages that ask `question`: system, each example as a user and an assistant turn, then user.

    For a task of several turns, the exchanges so far follow. Every policy is asked with the same words,
    except that each peer chooses its own `examples`. Images are not part of the messages.
    """
    turns = [{"role": "system", "content": _SYSTEM}]
    for example in examples:
        turns += _conversation(example.question, example.exchanges)
        turns.append({"role": "assistant", "content": tagged(example.answer)})
    return turns + _conversation(question, exchanges)


def _conversation(question: str, exchanges: Sequence[Exchange]) -> list[dict[str, str]]:
    turns = [{"role": "user", "content": question}]
    for exchange in exchanges:
        turns.append({"role": "assistant", "content": exchange.written})
        turns.append({"role": "user", "content": exchange.observation})
    return turns


def transcript(texts: Sequence[str], observations: Sequence[str]) -> str:
    """A completion of several turns as text for people: each turn, followed by its reply, marked with >."""
    parts = [texts[0]]
    for text, observation in zip(texts[1:], observations, strict=True):
        parts += ["\n".join(f"> {line}" for line in observation.split("\n")), text]
    return "\n".join(parts)


def find_answer(completion: str) -> slice | None:
    """The position of the answer between the last complete pair of tags, including whitespace. None without
    one.

    Takes linear time. A regular expression would take quadratic time on many unclosed tags, and peers choose
    the text.
    """
    start = completion.rfind(OPENING_TAG, 0, max(0, completion.rfind(CLOSING_TAG)))
    if start < 0:
        return None
    start += len(OPENING_TAG)
    return slice(start, completion.index(CLOSING_TAG, start))


def goes_on(completion: str) -> bool:
    """Whether there is text after the answer; False if there is no answer."""
    found = find_answer(completion)
    return found is not None and bool(completion[found.stop + len(CLOSING_TAG) :].strip())


def extract_answer(completion: str) -> str | None:
    """The stripped text of the last complete <answer></answer> in `completion`, or None."""
    found = find_answer(completion)
    return None if found is None else completion[found].strip()
