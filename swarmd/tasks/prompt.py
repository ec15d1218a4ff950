"""How a question becomes a prompt, and where the answer is in a completion. Text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swarmd.images import Images

_SYSTEM = (
    "Think briefly, then give the final answer inside <answer></answer> tags, and nothing else inside them."
)
OPENING_TAG, CLOSING_TAG = "<answer>", "</answer>"


class Exchange(NamedTuple):
    """A turn that the policy has written already, and what the environment said to it."""

    written: str
    observation: str


class Example(NamedTuple):
    """A question, and a right answer to it without tags."""

    question: str
    answer: str
    """Of a task of several turns: the last."""
    exchanges: tuple[Exchange, ...] = ()
    """The turns before it, with tags."""
    images: Images = ()
    """Shown with the question."""


def tagged(answer: str) -> str:
    """An answer as a policy should write it."""
    return f"{OPENING_TAG}{answer}{CLOSING_TAG}"


def prompt_messages(
    question: str, examples: Sequence[Example] = (), exchanges: Sequence[Exchange] = ()
) -> list[dict[str, str]]:
    """The chat messages that ask `question`: system, each example as a user's and an assistant's turns, user.

    After them comes what has been said since, in a task of several turns. Every policy is asked with the same
    words; `examples` are this peer's own choice. Images are not in the messages.
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
    """A completion of several turns for people: each turn, and after it, marked with >, what it was told."""
    parts = [texts[0]]
    for text, observation in zip(texts[1:], observations, strict=True):
        parts += ["\n".join(f"> {line}" for line in observation.split("\n")), text]
    return "\n".join(parts)


def find_answer(completion: str) -> slice | None:
    """Where the answer is: between the last complete pair of tags, with the space around it. None if nowhere.

    The time is linear in the length of the text. A regular expression would be quadratic on many unclosed
    tags, and peers choose the text.
    """
    start = completion.rfind(OPENING_TAG, 0, max(0, completion.rfind(CLOSING_TAG)))
    if start < 0:
        return None
    start += len(OPENING_TAG)
    return slice(start, completion.index(CLOSING_TAG, start))


def goes_on(completion: str) -> bool:
    """Whether there is text behind the answer; without an answer, no."""
    found = find_answer(completion)
    return found is not None and bool(completion[found.stop + len(CLOSING_TAG) :].strip())


def extract_answer(completion: str) -> str | None:
    """The stripped text of the last complete <answer></answer> in `completion`, or None."""
    found = find_answer(completion)
    return None if found is None else completion[found].strip()
