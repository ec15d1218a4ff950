"""How a reply is shown: as text for a person, or as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from swarmd.cli.answering import Answer, Reply
from swarmd.cli.picture import print_images
from swarmd.cli.subject import UNTRAINED, Subject
from swarmd.observe import printable


def plain(reply: Reply) -> dict[str, Any]:
    """Return the reply as JSON values."""
    return {
        "question": reply.question,
        "task": reply.task,
        "expected": reply.expected,
        "answers": [_plain(each) for each in reply.answers],
        "untrained": None if reply.untrained is None else [_plain(each) for each in reply.untrained],
    }


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "text": answer.text,
        "finished": answer.finished,
        "tokens": answer.tokens,
        "reward": answer.reward,
        "right": answer.is_right,
    }


def print_reply(reply: Reply, subject: Subject) -> None:
    """Print a reply. A single answer to the user's own question is printed alone, so that other programs can
    read it; otherwise each part has a heading.
    """
    console = Console(highlight=False)
    if reply.task is None and reply.untrained is None and len(reply.answers) == 1:
        console.print(_lines(reply.answers[0].text), soft_wrap=True)
        return
    if reply.task is not None:
        _print_part(console, f"question, held out, of {printable(reply.task)}", reply.question)
        print_images(console, reply.images)
        _print_part(console, "expected", "unknown" if reply.expected is None else reply.expected)
    _print_answers(console, subject.head, reply.answers)
    if reply.untrained is not None:
        _print_answers(console, UNTRAINED, reply.untrained)


def _print_answers(console: Console, whose: str, answers: Sequence[Answer]) -> None:
    for number, answer in enumerate(answers, start=1):
        head = whose if len(answers) == 1 else f"{whose}, sample {number}"
        if answer.reward is not None:
            head += f": {'right' if answer.is_right else 'wrong'} (reward {answer.reward:g})"
        _print_part(console, head if answer.finished else f"{head}, cut off", answer.text)


def _print_part(console: Console, head: str, text: str) -> None:
    console.print(Text(head, style="bold"))
    console.print(_lines(text, "  "), soft_wrap=True)


def _lines(text: str, indent: str = "") -> Text:
    """Return what a model or a task wrote, line by line, safe for a terminal."""
    return Text("\n".join(f"{indent}{printable(line)}" for line in text.split("\n")))
