"""`swarmd ask`: answer questions with what the peer has learned so far.

It only reads checkpoints, so it works next to a running daemon. Answers go to standard output, everything
else to standard error.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from protocol import Manifest
from swarmd.cli.answering import Manner, Reply, answer, answer_task, draw, family_of
from swarmd.cli.flags import Given, overrides, with_settings
from swarmd.cli.home import DEFAULT_HOME, HomeOption, checkpoint_option, home_path, model_option
from swarmd.cli.live_answer import LiveAnswer
from swarmd.cli.replies import plain, print_reply
from swarmd.cli.subject import UNTRAINED, Subject, Wanted, load_subject
from swarmd.errors import ConfigError, ModelError, OutOfMemoryError
from swarmd.observe import printable
from swarmd.step.pass_at_k import SAMPLES_MAX
from swarmd.storage import Home
from swarmd.tasks import TaskRunner, load_manifest, solved_examples

if TYPE_CHECKING:
    from torch import Generator

    from swarmd.tasks import Example

DEFAULT_TASKS = "starter"
NEW_TOKENS = 256  # if no swarm sets a limit: a few paragraphs
SEED_MAX = 2**32 - 1

QuestionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="QUESTION", help="One question. Without it, asks for questions.", show_default=False
    ),
]
UntrainedOption = Annotated[bool, typer.Option("--untrained", help="Show the untrained model's answers too.")]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="Draw a held-out question of this task of the swarm, and score the answers.",
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples",
        min=1,
        max=SAMPLES_MAX,
        help="Sample N answers. (default: one greedy answer; one sample with --temperature)",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=SEED_MAX,
        help="The same seed draws the same question and samples. (default: a new one each time)",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Session:
    """The loaded model, and how it answers."""

    subject: Subject
    manner: Manner
    rng: Generator
    seed: int
    show: Callable[[Session, Reply], None]
    is_live: bool
    """Whether an answer is shown while it is written: only a single one, in a terminal."""


@with_settings(
    "policy.temperature",
    "policy.max_new_tokens",
    "policy.device",
    "policy.memory_limit",
    "policy.stop",
    "policy.template_args",
    words={"policy.temperature": "Sample at this temperature. Unset: one greedy answer."},
)
def ask(
    given: Given,
    context: typer.Context,
    question: QuestionArgument = None,
    home: HomeOption = DEFAULT_HOME,
    checkpoint: Annotated[Path | None, checkpoint_option("Ask")] = None,
    model: Annotated[str | None, model_option("ask")] = None,
    untrained: UntrainedOption = False,
    task: TaskOption = None,
    samples: SamplesOption = None,
    seed: SeedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per question.")] = False,
) -> None:
    """Answer a question with the current weights: QUESTION, or one question after another until Ctrl-D.

    By default this asks the home's newest checkpoint, or its untrained model if there is none. A running
    daemon is not disturbed. In a terminal, the answer appears while it is written. Standard error says which
    weights answer. The model was trained on the swarm's tasks: --task NAME asks one of their held-out
    questions, on which no peer of the swarm trains.

    --json prints question, task, expected, seed, model, weights ("untrained" or a checkpoint's directory),
    step, temperature (null if greedy), answers and untrained (null without --untrained). Each answer has
    text, finished, tokens, reward and right (null without --task).
    """
    if question is not None and task is not None:
        raise ConfigError("--task draws its own question: leave out either --task or QUESTION")
    if question is not None and not question.strip():
        raise ConfigError("the question is empty: write one, or leave it out to type questions")
    if question is not None:
        _require_text(question)
    typed = _is_typed(context, "home")
    wanted = Wanted(home_path(home), typed, checkpoint, overrides({"policy.model": model, **given}))
    if untrained and wanted.is_published_model:
        raise ConfigError(
            "--untrained compares with trained weights, but --model alone has none: leave it out"
        )
    manifest = None if wanted.is_published_model else Home(wanted.home).manifest()
    manner = Manner(samples or int(given["policy.temperature"] is not None), untrained)
    asked_of = manifest or load_manifest(DEFAULT_TASKS)
    family = None if task is None else family_of(asked_of, task)
    limit = given["policy.max_new_tokens"] or (manifest.max_new_tokens if manifest else NEW_TOKENS)
    wanted.require_home()
    if wanted.is_untrained():
        _tell(f"{wanted.home} has no trained weights yet, so only the untrained model answers")
        manner = replace(manner, both=False)
    _tell("loading the model: some seconds, or minutes if it is large")
    with _remedy_beside_a_daemon():
        session = _session(wanted, asked_of, manner, int(str(limit)), seed, as_json=as_json)
        if family is not None:
            asyncio.run(_ask_task(session, asked_of, family.name))
        elif question is not None:
            _ask(session, question)
        else:
            _converse(session)


def _require_text(question: str) -> None:
    """Raise ConfigError if the question has a lone surrogate: Python reads a byte that is no text as one."""
    try:
        question.encode()
    except UnicodeEncodeError as error:
        broken = ascii(question[error.start])
        raise ConfigError(f"the question is not UTF-8 text: convert it, or leave {broken} out") from error


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _session(
    wanted: Wanted, manifest: Manifest, manner: Manner, limit: int, seed: int | None, *, as_json: bool
) -> Session:
    import torch

    seed = secrets.randbelow(SEED_MAX + 1) if seed is None else seed
    subject = load_subject(
        wanted, manifest, max_new_tokens=limit, at_once=max(1, manner.samples), keep_former=manner.both
    )
    if shown := wanted.examples():
        subject.policy.examples = asyncio.run(_examples(manifest, shown))
    _tell(str(subject))
    if manner.both and subject.former is None:
        manner = replace(manner, both=False)
    rng = torch.Generator().manual_seed(seed)
    is_live = sys.stdout.isatty() and not as_json and manner.samples <= 1
    return Session(subject, manner, rng, seed, _print_json if as_json else _print, is_live)


async def _examples(manifest: Manifest, count: int) -> tuple[Example, ...]:
    async with TaskRunner(reward=manifest.reward) as runner:
        return await solved_examples(runner, manifest, count)


def _ask(session: Session, question: str) -> None:
    if session.is_live:
        _ask_live(session, question)
        return
    with _progress() as progress:
        reply = answer(session.subject, question, session.manner, rng=session.rng, progress=progress)
    session.show(session, reply)


def _ask_live(session: Session, question: str) -> None:
    """Ask, showing the answer while it is written."""
    subject, manner = session.subject, session.manner

    def listen(untrained: bool) -> LiveAnswer:
        head = UNTRAINED if untrained else subject.head
        return LiveAnswer(sys.stdout, head if manner.both else None)

    try:
        answer(subject, question, manner, rng=session.rng, listen=listen)
    except (KeyboardInterrupt, ModelError):
        typer.echo()  # start the following output on a new line
        raise


async def _ask_task(session: Session, manifest: Manifest, task: str) -> None:
    family, stop = family_of(manifest, task), threading.Event()
    async with TaskRunner(reward=manifest.reward) as runner:
        question, expected = await draw(runner, family, session.seed)
        try:
            with _progress() as progress:
                reply = await answer_task(
                    session.subject,
                    question,
                    session.manner,
                    runner=runner,
                    rng=session.rng,
                    progress=progress,
                    should_stop=stop,
                )
        finally:
            stop.set()  # after Ctrl-C, the model's thread would continue to the last token
    session.show(session, replace(reply, task=family.name, expected=expected))


def _converse(session: Session) -> None:
    """Answer questions from the terminal until Ctrl-D, or one per line from a pipe."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  gives input() line editing and history

        _tell("type a question and press Enter; Ctrl-D ends")
    while (question := _next_question()) is not None:
        if not question:
            continue
        try:
            _require_text(question)
        except ConfigError as error:
            _tell(f"error: {error}")
            continue
        try:
            _ask(session, question)
        except OutOfMemoryError:
            raise
        except ModelError as error:  # this question cannot be answered, but the next one may
            _tell(f"error: {error}")
        except KeyboardInterrupt:
            _tell("stopped: type the next question, or Ctrl-D to end")


def _next_question() -> str | None:
    """Return the next question; None at the end of input, or after Ctrl-C at an empty prompt."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip() if line else None
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        typer.echo(err=True)
        return None


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show how many tokens have been written, in a terminal."""
    console, written = Console(stderr=True), 0
    with console.status("answering") as status:

        def see(tokens: int) -> None:
            nonlocal written
            written += tokens
            status.update(f"answering: {written} tokens")

        yield see


@contextmanager
def _remedy_beside_a_daemon() -> Iterator[None]:
    try:
        yield
    except OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{error}. A daemon on this device keeps its memory: use --device cpu next to it"
        ) from error


def _print(session: Session, reply: Reply) -> None:
    print_reply(reply, session.subject)


def _print_json(session: Session, reply: Reply) -> None:
    typer.echo(json.dumps(_plain(session, reply)))


def _plain(session: Session, reply: Reply) -> dict[str, Any]:
    subject = session.subject
    return {
        **plain(reply),
        "seed": session.seed,
        "model": subject.model,
        "weights": subject.weights,
        "step": subject.step,
        "temperature": subject.policy.temperature if session.manner.samples else None,
    }


def _tell(what: str) -> None:
    typer.echo(printable(what), err=True)
