"""`swarmd eval`: how often a policy is right on held-out questions.

It only reads checkpoints, so it works next to a running daemon.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol import Manifest
from swarmd.cli.exam_progress import ExamProgress, ToldPolicy, ToldScorer
from swarmd.cli.flags import Given, overrides, with_settings
from swarmd.cli.foresight import foresee_policy
from swarmd.cli.home import DEFAULT_HOME, HomeOption, checkpoint_option, home_path, model_option
from swarmd.cli.subject import Subject, Wanted, load_subject
from swarmd.config import load_config
from swarmd.observe import printable
from swarmd.step.evaluation import Evaluation, Result
from swarmd.step.evaluation import evaluate as answer_greedily
from swarmd.step.pass_at_k import SAMPLED_AT_ONCE, SAMPLES_MAX, Chance, PassAtK, pass_at_k
from swarmd.storage import Home
from swarmd.tasks import (
    TaskRunner,
    find_payers,
    held_out_questions,
    held_out_seed,
    is_preset,
    load_manifest,
    solved_examples,
)

DEFAULT_TASKS = "starter"
SEED_MAX = 2**32 - 1
QUESTIONS = 200  # the 95% interval is then at most +-0.07
QUESTIONS_MAX = 10_000  # the interval is then at most +-0.01; all prompts and answers are in memory

TasksOption = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="NAME|FILE",
        help="Preset or TOML manifest to draw questions from. (default: the home's swarm, else starter)",
        show_default=False,
    ),
]
QuestionsOption = Annotated[
    int, typer.Option("--questions", min=1, max=QUESTIONS_MAX, help="Number of questions over all tasks.")
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=SEED_MAX,
        help="The same seed gives the same questions. (default: the seed that the swarm's daemons use)",
        show_default=False,
    ),
]
SamplesOption = Annotated[
    int,
    typer.Option("--samples", min=0, max=SAMPLES_MAX, help="Also sample N answers per question, for pass@k."),
]
ConstantOption = Annotated[
    bool, typer.Option("--constant", help="Also score constant answers as a baseline. Takes longer.")
]


@dataclass(frozen=True)
class Exam:
    """What to ask."""

    manifest: Manifest
    seed: int
    questions: int
    samples: int
    constant: bool
    examples: int | None
    """Solved examples before each question; None for the number that the weights were trained with."""


@dataclass(frozen=True)
class Outcome:
    """The results. Without samples there is no pass@k."""

    greedy: Evaluation
    sampled: PassAtK | None


@with_settings(
    "policy.temperature",
    "policy.lora_rank",
    "policy.device",
    "policy.stop",
    "policy.template_args",
    "policy.examples",
    words={"policy.lora_rank": "Load the model with a LoRA adapter of this rank."},
)
def evaluate(
    given: Given,
    context: typer.Context,
    home: HomeOption = DEFAULT_HOME,
    checkpoint: Annotated[Path | None, checkpoint_option("Score")] = None,
    model: Annotated[str | None, model_option("score")] = None,
    tasks: TasksOption = None,
    count: QuestionsOption = QUESTIONS,
    seed: SeedOption = None,
    samples: SamplesOption = 0,
    constant: ConstantOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a policy greedily on held-out questions, and by pass@k (k = 1, 2, 4 .. N) with --samples N.

    By default this scores the home's newest checkpoint, or its untrained model if there is none. A running
    daemon is not disturbed. --checkpoint or --model scores that instead. The first line says what is scored.
    --constant adds the success of a single fixed answer per task.

    --json prints success, questions, interval (95%, Wilson), reward, constant (null without --constant) and
    pass_at ({"1": {"success": .., "interval": ..}}, empty without --samples); tasks (the same for each task,
    by name); model, weights ("untrained" or a checkpoint's directory), step, swarm, seed, samples and
    temperature. The same command gives the same numbers.
    """
    path = home_path(home)
    wanted = Wanted(path, _is_typed(context, "home"), checkpoint, overrides({"policy.model": model, **given}))
    policy = load_config(path, wanted.settings).policy
    if checkpoint is None:
        foresee_policy(policy, Home(path))
    wanted.require_home()
    shown = given["policy.examples"]
    if shown is None:
        shown = wanted.examples()
    exam = _exam(tasks, path, seed, count, samples, constant, shown)
    if wanted.is_untrained():
        typer.echo(f"{path} has no trained weights yet: this scores its untrained model", err=True)
    typer.echo(f"loading PyTorch and the model, which then answers {count} questions", err=True)
    limit = exam.manifest.max_new_tokens
    with ExamProgress() as told:
        subject = load_subject(wanted, exam.manifest, max_new_tokens=limit, at_once=_at_once(exam))
        outcome = asyncio.run(_take(subject, exam, told))
    _warn(outcome.greedy.unscored, exam.questions)
    if as_json:
        typer.echo(json.dumps(_plain(subject, exam, outcome)))
    else:
        _print(subject, exam, outcome)


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether the option was typed, rather than taken from the environment or left out."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _exam(
    tasks: str | None,
    home: Path,
    seed: int | None,
    questions: int,
    samples: int,
    constant: bool,
    examples: object,
) -> Exam:
    """Return the questions of --tasks, else of the home's swarm, else of the default swarm."""
    saved = Home(home).manifest() if tasks is None else None
    manifest = saved or load_manifest(tasks or DEFAULT_TASKS)
    seed = held_out_seed(manifest) if seed is None else seed
    shown = examples if isinstance(examples, int) else None
    return Exam(manifest, seed, questions, samples, constant, shown)


def _at_once(exam: Exam) -> int:
    return max(exam.questions, min(exam.questions * exam.samples, SAMPLED_AT_ONCE))


async def _take(subject: Subject, exam: Exam, told: ExamProgress) -> Outcome:
    import torch

    manifest, policy, sampled = exam.manifest, ToldPolicy(subject.policy, told), None
    stop = threading.Event()
    told.phase("starting the task worker")
    try:
        async with TaskRunner(reward=manifest.reward) as runner:
            scorer = ToldScorer(runner, told)
            for payer in [] if is_preset(manifest) else await find_payers(runner, manifest):
                typer.echo(f"warning: {payer}", err=True)
            told.phase("drawing questions")
            if exam.examples is not None:
                subject.policy.examples = await solved_examples(runner, manifest, exam.examples)
            drawn = await held_out_questions(runner, manifest.tasks, exam.seed, exam.questions)
            greedy = await answer_greedily(
                policy,
                scorer,
                drawn,
                manifest=manifest,
                with_constant=exam.constant,
                should_stop=stop,
            )
            if exam.samples:
                sampled = await pass_at_k(
                    policy,
                    scorer,
                    drawn,
                    manifest=manifest,
                    samples=exam.samples,
                    rng=torch.Generator().manual_seed(exam.seed),
                    should_stop=stop,
                )
    finally:
        stop.set()  # after Ctrl-C, the model's thread would continue to the last token
    return Outcome(greedy, sampled)


def _warn(unscored: int, questions: int) -> None:
    """Warn if the policy is better than the numbers say."""
    if unscored:
        lost = f"{unscored} of {questions} greedy answers could not be scored and count as wrong"
        typer.echo(f"warning: {lost}: is the machine overloaded?", err=True)


def _plain(subject: Subject, exam: Exam, outcome: Outcome) -> dict[str, Any]:
    greedy, sampled = outcome.greedy, outcome.sampled
    return {
        **_result(greedy.total, {} if sampled is None else sampled.total),
        "tasks": {
            name: _result(result, {} if sampled is None else sampled.tasks[name])
            for name, result in greedy.tasks.items()
        },
        "model": subject.model,
        "weights": subject.weights,
        "step": subject.step,
        "swarm": exam.manifest.name,
        "seed": exam.seed,
        "samples": exam.samples,
        "temperature": subject.policy.temperature if exam.samples else None,
    }


def _result(result: Result, chances: Mapping[int, Chance]) -> dict[str, Any]:
    return {
        "success": result.success,
        "questions": result.questions,
        "interval": list(result.interval),
        "reward": result.reward,
        "constant": result.constant,
        "pass_at": {
            str(k): {"success": chance.success, "interval": list(chance.interval)}
            for k, chance in chances.items()
        },
    }


def _print(subject: Subject, exam: Exam, outcome: Outcome) -> None:
    console = Console()
    console.print(Text(f"{subject}, greedy, on held-out questions of {printable(exam.manifest.name)}"))
    console.print(_greedy_table(outcome.greedy))
    if outcome.sampled is not None:
        heat = f"temperature {subject.policy.temperature:g}"
        console.print(Text(f"\n{exam.samples} samples of each at {heat}"))
        console.print(_sampled_table(outcome.sampled))


def _greedy_table(evaluation: Evaluation) -> Table:
    names = ("task", "success", "95% interval", "constant answer", "questions")
    table = Table(*names, box=None, pad_edge=False)
    for name, result in (*evaluation.tasks.items(), ("all", evaluation.total)):
        low, high = result.interval
        table.add_row(
            Text(printable(name)),  # a peer may have sent the manifest
            f"{result.success:.3f}",
            f"{low:.3f} – {high:.3f}",
            "–" if result.constant is None else f"{result.constant:.3f}",
            str(result.questions),
        )
    return table


def _sampled_table(sampled: PassAtK) -> Table:
    """Return the pass@k table. The intervals of single tasks are in the JSON only: seven columns of them do
    not fit a terminal.
    """
    table = Table("task", *(f"pass@{k}" for k in sampled.total), box=None, pad_edge=False)
    for name, chances in (*sampled.tasks.items(), ("all", sampled.total)):
        table.add_row(Text(printable(name)), *(f"{chance.success:.3f}" for chance in chances.values()))
    ends = (chance.interval for chance in sampled.total.values())
    table.add_row("all, 95% interval", *(f"{low:.2f} – {high:.2f}" for low, high in ends))
    return table
