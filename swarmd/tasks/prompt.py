"""How a question becomes a prompt, and where in a completion the answer stands. Text in, text out."""

from __future__ import annotations

_SYSTEM = (
    "Think briefly, then give the final answer inside <answer></answer> tags, and nothing else inside them."
)
_OPEN, _CLOSE = "<answer>", "</answer>"


def prompt_messages(question: str) -> list[dict[str, str]]:
    """The chat messages (system, user) that ask `question`; every policy is asked with the same words."""
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]


def extract_answer(completion: str) -> str | None:
    """The stripped text of the last complete <answer></answer> in `completion`, or None.

    Linear in the length of the text: a regular expression is quadratic on many unclosed tags, and peers
    choose the text.
    """
    start = completion.rfind(_OPEN, 0, max(0, completion.rfind(_CLOSE)))
    if start < 0:
        return None
    start += len(_OPEN)
    return completion[start : completion.index(_CLOSE, start)].strip()
