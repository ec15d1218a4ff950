"""`swarmd eval`: how often the home's current weights answer right, on questions that nobody trains on.

Reads checkpoints only, so it works beside a running daemon.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol import Manifest
from swarmd.cli.options import DEFAULT_HOME, FLAGS, HomeOption, home_path, overrides, parse_lora, setting
from swarmd.config import load_config
from swarmd.observe import printable
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.evaluation import Evaluation, Result
    from swarmd.policy import Policy

DEFAULT_TASKS = "starter"
SEED_MAX = 2**32 - 1
QUESTIONS = 200  # halves of the 95 % interval are then 0.07 at most


@dataclass(frozen=True)
class Subject:
    """The policy to evaluate, and the step its weights are from; 0 is the untrained model."""

    policy: Policy
    name: str
    step: int


def evaluate(
    home: HomeOption = DEFAULT_HOME,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            metavar="NAME|FILE",
            help="Preset or TOML manifest to draw questions from. (default: the home's swarm, else starter)",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option("--questions", min=1, help="How many, over all tasks.")] = QUESTIONS,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=SEED_MAX, help="The same seed asks the same questions.")
    ] = 0,
    model: Annotated[str | None, setting("policy.model", metavar="NAME|DIR")] = None,
    lora: Annotated[str | None, setting("policy.lora_rank", metavar="r=RANK[,alpha=ALPHA]")] = None,
    device: Annotated[str | None, setting("policy.device", metavar="DEVICE")] = None,
    constant: Annotated[
        bool, typer.Option("--constant", help="Also score constant answers, the baseline; takes longer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score the current weights greedily on held-out questions.

    The newest checkpoint is used, or the untrained model where there is none yet; a running daemon is not
    disturbed. With --constant, beside the success stands what one fixed answer to each task would reach.

    --json prints success, questions, interval (95 %, Wilson), reward, constant (null without --constant),
    tasks (the same for each, by its name), step and model.
    """
    path = home_path(home)
    given = overrides({"policy.model": model, **parse_lora(lora), "policy.device": device})
    manifest = _manifest(tasks, path)
    subject = _load(path, given, manifest.max_new_tokens, count)
    result = asyncio.run(_evaluate(subject.policy, manifest, seed, count, constant))
    if as_json:
        typer.echo(json.dumps(_plain(subject, result)))
    else:
        _print(subject, result)


def _manifest(tasks: str | None, home: Any) -> Manifest:
    """What --tasks names, else the home's swarm, else the default."""
    from swarmd.tasks import load_manifest

    saved = Home(home).manifest() if tasks is None else None
    return saved or load_manifest(tasks or DEFAULT_TASKS)


def _load(home: Any, given: dict[str, Any], max_new_tokens: int, questions: int) -> Subject:
    """The model of the home with its newest weights."""
    from swarmd.policy import Workload, load_policy, prepare_plan
    from swarmd.storage import Checkpoints

    opened = Home.existing(home)
    config = load_config(opened.path, given, FLAGS)
    problems: list[str] = []
    checkpoint = Checkpoints(opened.checkpoints_path, config.storage.checkpoints_kept).load_latest(
        problems.append
    )
    for problem in problems:
        typer.echo(f"warning: {problem}", err=True)
    trained = None if checkpoint is None else checkpoint.state.get("policy")
    policy_config = config.policy.completed_by(trained)
    work = Workload(
        own_groups=questions,
        external_groups=0,
        group_size=1,
        new_tokens=min(policy_config.max_new_tokens or max_new_tokens, max_new_tokens),
        training=False,
    )
    plan = prepare_plan(policy_config, work, rates_cache=opened.rates_path).plan
    policy = load_policy(policy_config, plan, max_new_tokens=max_new_tokens)
    if checkpoint is not None:
        policy.load_trainable_state(checkpoint.tensors)
    return Subject(policy, plan.model, 0 if checkpoint is None else checkpoint.step)


async def _evaluate(
    policy: Policy, manifest: Manifest, seed: int, questions: int, constant: bool
) -> Evaluation:
    from swarmd.evaluation import evaluate as score
    from swarmd.tasks import TaskRunner, held_out_questions

    async with TaskRunner(reward=manifest.reward) as runner:
        drawn = await held_out_questions(runner, manifest.tasks, seed, questions)
        return await score(policy, runner, drawn, manifest=manifest, with_constant=constant)


def _plain(subject: Subject, evaluation: Evaluation) -> dict[str, Any]:
    return {
        **_result(evaluation.total),
        "tasks": {name: _result(result) for name, result in evaluation.tasks.items()},
        "step": subject.step,
        "model": subject.name,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "success": result.success,
        "questions": result.questions,
        "interval": list(result.interval),
        "reward": result.reward,
        "constant": result.constant,
    }


def _print(subject: Subject, evaluation: Evaluation) -> None:
    table = Table(
        "task", "success", "95 % interval", "constant answer", "questions", box=None, pad_edge=False
    )
    rows = [*evaluation.tasks.items(), ("all", evaluation.total)]
    for name, result in rows:
        low, high = result.interval
        table.add_row(
            Text(printable(name)),  # a swarm's manifest comes from a peer
            f"{result.success:.3f}",
            f"{low:.3f} – {high:.3f}",
            "–" if result.constant is None else f"{result.constant:.3f}",
            str(result.questions),
        )
    console = Console()
    console.print(Text(f"{subject.name} at step {subject.step}, greedy, on held-out questions"))
    console.print(table)
