"""How a question becomes a prompt, and where the answer is in a completion. Text in, text out."""

from __future__ import annotations

_SYSTEM = (
    "Think briefly, then give the final answer inside <answer></answer> tags, and nothing else inside them."
)
OPENING_TAG, CLOSING_TAG = "<answer>", "</answer>"


def prompt_messages(question: str) -> list[dict[str, str]]:
    """The chat messages (system, user) that ask `question`; every policy is asked with the same words."""
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]


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


def extract_answer(completion: str) -> str | None:
    """The stripped text of the last complete <answer></answer> in `completion`, or None."""
    found = find_answer(completion)
    return None if found is None else completion[found].strip()
