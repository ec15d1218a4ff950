"""`swarmd experiment`: run experiments of many peers, report their results and compare them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from swarmd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol import Manifest
    from swarmd.experiment import ExperimentConfig, RunSpec

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
SEEDS_MAX = 100  # as in the file

app = typer.Typer(help="Run, report and compare experiments of many peers.", no_args_is_help=True)


@app.command("run")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to run: see docs/experiments.md.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Result folder. (default: ./FILE)", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, max=SEEDS_MAX, help="Runs per configuration, instead of FILE's."),
    ] = None,
    exchange: Annotated[
        Literal["process", "distributed", "daemons"] | None,
        typer.Option("--exchange", help="How groups travel, instead of FILE's."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PATH_OR_NAME",
            help="The model that all nodes start from, instead of FILE's policy.model.",
        ),
    ] = None,
) -> None:
    """Run an experiment. The same command resumes one that was stopped.

    The whole file is checked before anything runs. A larger --seeds adds runs to the existing ones.
    """
    try:
        file.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; name an experiment file") from error
    typer.echo(f"loading PyTorch, then checking {file} and its tasks: some seconds", err=True)
    from swarmd.experiment import read_experiment

    config, manifest = read_experiment(file, seeds=seeds, exchange=exchange, model=model)
    folder = out if out is not None else Path(file.stem)
    try:
        asyncio.run(_run(config, manifest, folder))
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command resumes it in {folder}", err=True)
        sys.exit(INTERRUPTED)


async def _run(config: ExperimentConfig, manifest: Manifest, folder: Path) -> None:
    from swarmd.experiment import Experiment
    from swarmd.experiment.exchanges.distributed import exchange_of
    from swarmd.tasks import TaskRunner, find_payers, is_preset

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )  # fmt: skip
    with exchange_of(config) as exchange:
        leads = exchange.rank == 0
        with Progress(*columns, console=Console(stderr=True), disable=not leads) as progress:
            bar = _Bar(progress, config)
            async with TaskRunner(reward=manifest.reward) as tasks:
                for payer in [] if is_preset(manifest) or not leads else await find_payers(tasks, manifest):
                    progress.console.print(f"warning: {payer}")
                await Experiment(config, manifest, folder, tasks, bar, exchange).run()
    if leads:
        typer.echo(f"done: swarmd experiment report {folder}")


class _Bar:
    """One bar over the rounds of all runs, with the current run and its latest mean own reward."""

    def __init__(self, progress: Progress, config: ExperimentConfig) -> None:
        self._progress = progress
        self._config = config
        self._task: TaskID = progress.add_task("rounds", total=None, now="loading models")
        self._before = 0
        self._run: RunSpec | None = None
        self._done = 0

    def planned(self, runs: Sequence[RunSpec]) -> None:
        self._progress.update(self._task, total=sum(self._config.rounds_of(run.arm) for run in runs))

    def advanced(self, run: RunSpec, rounds: int, reward_own: float | None) -> None:
        if self._run is not None and run != self._run:
            self._before += self._done
        self._run, self._done = run, rounds
        reward = "" if reward_own is None else f"own reward {reward_own:.3f}"
        self._progress.update(self._task, completed=self._before + rounds, now=f"{run.name}  {reward}")


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder written by `experiment run`.")],
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Also draw plots (matplotlib).")] = True,
) -> None:
    """Write report.md, report.html, report.json and plots into an experiment's folder.

    The page needs no other file. The experiment need not be finished.
    """
    from swarmd.experiment.reporting.report import write_report

    for path in write_report(folder, with_plots=plots):
        typer.echo(str(path))


@app.command("compare")
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="DIR:NAME, or DIR if it has only one configuration.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, in this folder or another.")],
    equal: Annotated[
        Literal["rounds", "tokens", "time", "cpu", "smollm2-135m", "qwen2.5-0.5b"],
        typer.Option(
            "--equal",
            help="Compare at an equal amount of this, up to where the shorter one ends. A model: CPU time at "
            "its prices.",
        ),
    ] = "rounds",
    pairs: Annotated[
        Literal["seed", "node"],
        typer.Option(
            "--pairs",
            help="Pair by seed, or by node if nodes share nothing.",
        ),
    ] = "seed",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Test the differences between two configurations, A minus B, pair by pair.

    Compares own reward, held-out success, and held-out success by task. Each difference comes with a 95%
    bootstrap interval and the p-value of a sign-flip permutation test, Holm-corrected over tasks. Seeds that
    only one of the two has are left out.
    """
    from swarmd.experiment.reporting.compare import compare as compare_sides
    from swarmd.experiment.reporting.compare import comparison_values, to_text

    values = comparison_values(compare_sides(a, b, basis=equal, pairs=pairs))
    typer.echo(json.dumps(values, allow_nan=False) if as_json else to_text(values))


@app.command("curve")
def curve(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of `experiment run`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the curve.")],
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Also draw it (matplotlib).")] = True,
) -> None:
    """Write how much sharing gained against how good the policy was before, over several experiments."""
    from swarmd.experiment.reporting.curve import write_curve

    for path in write_curve(folders, out, with_plot=plots):
        typer.echo(str(path))
