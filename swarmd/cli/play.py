"""`swarmd play`: a person answers questions. A running daemon judges, signs and publishes the answers.

Questions and answers go to standard output. Nothing is stored here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.played import answer_lines
from swarmd.errors import ConfigError
from swarmd.observe import ask_to_play, printable, read_name
from swarmd.storage import Home

MORE = "\\"
"""At the end of a line: the answer continues on the next line."""

QUESTIONS_MAX = 10_000  # more than a person answers in one sitting
SKIPPED_MAX = 512  # questions not asked again in this sitting; the daemon accepts twice as many

HOW = (
    "Your answers are signed with this peer's key, and anyone can read them.\n"
    f"Press Enter alone to end a question, Ctrl-D to stop. {MORE} at the end of a line continues the answer."
)

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name shown with your answers. (default: only that a person wrote them)",
        show_default=False,
    ),
]
QuestionsOption = Annotated[
    int | None,
    typer.Option(
        "--questions", min=1, max=QUESTIONS_MAX, help="Stop after this many questions.", show_default=False
    ),
]


def play(
    home: HomeOption = DEFAULT_HOME,
    name: NameOption = None,
    questions: QuestionsOption = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Only show what became of the answers so far.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --answers: print them as JSON.")] = False,
) -> None:
    """Answer what peers fail most, in this peer's name, and see what becomes of the answers.

    It works next to a running `swarmd join`. A question may be tried as often as a policy tries it. The
    attempts are one group: if one is right, the daemon signs and publishes it, and other peers check it and
    may train on it like any other group. Each question counts once.
    """
    table = Table(Home(home_path(home)))
    if answers:
        found = table.answers()
        typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(answer_lines(found)))
        return
    if as_json:
        raise ConfigError("--json prints what became of the answers: add --answers")
    sit_down(table, read_name(name), questions)
    typer.echo("\n".join(answer_lines(table.answers())))


class Table:
    """What the daemon of a home offers a person who plays."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def question(self, skipped: list[str]) -> dict[str, Any]:
        return self._ask("question", {"without": skipped[-SKIPPED_MAX:]})

    def judge(self, question: str, turns: list[str]) -> dict[str, Any]:
        return self._ask("attempt", {"question": question, "turns": turns})

    def finish(self, question: str, attempts: list[list[str]], name: str | None) -> dict[str, Any]:
        return self._ask("finish", {"question": question, "attempts": attempts, "name": name})

    def answers(self) -> dict[str, Any]:
        return self._ask("answers")

    def _ask(self, what: str, wanted: Mapping[str, object] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = ask_to_play(self._home.path, self._home.socket_path, what, wanted)
        return found


class _DoneError(Exception):
    """The person ended the sitting."""


def sit_down(table: Table, name: str | None, questions: int | None) -> None:
    """Ask one question after another, until the person ends or `questions` are done."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  gives input() line editing and history
    skipped: list[str] = []
    try:
        while questions is None or len(skipped) < questions:
            question = table.question(skipped)
            if not skipped:  # the greeting waits until there is something to answer
                typer.echo(HOW)
            skipped.append(question["question"])
            typer.echo("\n" + "\n".join(_question_lines(question)))
            _answer(table, question, name)
    except _DoneError:
        typer.echo()


def _answer(table: Table, question: dict[str, Any], name: str | None) -> None:
    """Take all attempts at one question, up to the first that others can learn from, and print what becomes
    of them.
    """
    attempts: list[list[str]] = []
    try:
        while len(attempts) < question["attempts_max"]:
            attempt = _attempt(table, question, len(attempts) + 1)
            if attempt is None:
                break
            turns, teaches = attempt
            attempts.append(turns)
            if teaches:
                break
    finally:
        if attempts:  # what was written counts, even if the person ends here
            typer.echo(_sent(table.finish(question["question"], attempts, name)))


def _attempt(table: Table, question: dict[str, Any], number: int) -> tuple[list[str], bool] | None:
    """Return (turns, whether it is right and plain); None if the person wants no further attempt."""
    turns: list[str] = []
    while True:
        of = f"attempt {number} of {question['attempts_max']}"
        typed = _read(f"{of}> " if question["turns"] == 1 else f"{of}, turn {len(turns) + 1}> ")
        if not typed and not turns:
            return None
        try:
            verdict = table.judge(question["question"], [*turns, typed])
        except ConfigError as error:  # this text cannot be an answer, but another can
            typer.echo(f"not taken: {printable(str(error))}")
            continue
        turns.append(typed)
        if verdict["said"] is None:
            typer.echo(_verdict(verdict))
            return turns, bool(verdict["right"] and verdict["plain"])
        typer.echo("\n".join(f"  {printable(line)}" for line in verdict["said"].split("\n")))


def _read(prompt: str) -> str:
    """Return what the person types, with all its lines. Raises _DoneError at the end of the input."""
    lines: list[str] = []
    while True:
        try:
            line = input(prompt) if sys.stdin.isatty() else _piped(prompt)
        except (EOFError, KeyboardInterrupt):
            raise _DoneError from None
        lines.append(line.removesuffix(MORE))
        if not line.endswith(MORE):
            return "\n".join(lines).strip()
        prompt = "  ... "


def _piped(prompt: str) -> str:
    """Return a line from a pipe, echoed after the prompt as a terminal would. Raises EOFError."""
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    typer.echo(prompt + printable(line.rstrip("\n")))
    return line.rstrip("\n")


def _question_lines(question: dict[str, Any]) -> list[str]:
    own, others = question["own"], question["others"]
    tries = [
        f"{who} right in {tally['right']} of {tally['tries']} tries"
        for who, tally in (("this peer was", own), ("others were", others))
        if tally["tries"]
    ]
    head = f"{printable(question['task'])}: {', '.join(tries) or 'no peer was asked this yet'}"
    return [head, *(f"  {printable(line)}" for line in question["text"].split("\n"))]


def _verdict(verdict: dict[str, Any]) -> str:
    reward = verdict["reward"]
    if reward is None:
        return "not judged yet: the judges of this task have no opinion"
    if not verdict["right"]:
        return "wrong" if not reward else f"not right: it earns {reward:.2f} of 1"
    if verdict["plain"]:
        return "right"
    return (
        "right, but not as plain as the task writes it, and most peers train only on plain answers: "
        "write it again, or press Enter to send it"
    )


def _sent(sent: dict[str, Any]) -> str:
    digest = "" if sent["digest"] is None else f" as {sent['digest'][:12]}…"
    return f"{printable(sent['message'])}{digest}"
