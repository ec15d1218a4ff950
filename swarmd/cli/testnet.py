"""`swarmd testnet`: a whole swarm on this machine, from one command."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarmd import exit_codes
from swarmd.cli.flags import Given, arguments, overrides, with_settings
from swarmd.errors import ConfigError, StorageError
from swarmd.model_names import INSIDE, SMOLLM2
from swarmd.quoting import quoted
from swarmd.storage.durable import FILE, disk_error
from swarmd.testnet.asked import ATTACKERS_MAX, PEERS_MAX, PEERS_MIN, SECONDS_MAX, Asked
from swarmd.user_paths import path_of, require_writable_file

if TYPE_CHECKING:
    from swarmd.testnet.running import Outcome

MODELS_MAX = 8  # distinct ones; more than one machine is used to compare
PLAIN_COLUMNS = 110  # width of tables outside a terminal
STDOUT = "-"
OF_THE_WHOLE = ("steps", "seed", "swarm", "observe.http")
"""Settings that are not simply passed to every peer."""

PeersOption = Annotated[
    int,
    typer.Option(
        "--peers", "-n", metavar="N", min=PEERS_MIN, max=PEERS_MAX, help="Number of peers, at least 2."
    ),
]
ModelsOption = Annotated[
    str, typer.Option("--models", metavar="NAME|DIR,...", help="Models, assigned to the peers in turn.")
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        metavar="S",
        min=1.0,
        max=SECONDS_MAX,
        help="Stop this many seconds after all peers are up.",
    ),
]
ChaosOption = Annotated[
    bool,
    typer.Option("--chaos", help="Kill, freeze and restart peers at random, and say whether they recover."),
]
AttackersOption = Annotated[
    int,
    typer.Option(
        "--attackers",
        metavar="K",
        min=0,
        max=ATTACKERS_MAX,
        help="Attack the peers with this many attackers. Needs a checkout of the repository.",
    ),
]
AttackOption = Annotated[
    str | None,
    typer.Option(
        "--attack",
        metavar="KIND,...",
        help="Kinds of attackers, assigned in turn: draws-50, holders-3 and others.",
    ),
]
KeptHomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Keep the peers' homes here, and continue with existing ones."
    ),
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the temporary homes, and say where they are.")]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write the summary as JSON too; - is standard output."),
]


@with_settings(
    "swarm",
    "steps",
    "seed",
    "policy.device",
    "policy.threads",
    "policy.duty",
    "policy.memory_limit",
    "policy.max_new_tokens",
    "policy.examples",
    "learning.local",
    "learning.external",
    "learning.group_size",
    "storage.checkpoint_every",
    "observe.evaluate_every",
    "observe.http",
    listed_after={"seconds": "--steps"},
    words={"observe.http": "HOST:PORT of the swarm's page, served by an observer. Unset: no observer."},
)
def run(
    given: Given,
    peers: PeersOption = 4,
    models: ModelsOption = "embedded",
    seconds: SecondsOption = None,
    chaos: ChaosOption = False,
    attackers: AttackersOption = 0,
    attack: AttackOption = None,
    home: KeptHomeOption = None,
    keep: KeepOption = False,
    json_: JsonOption = None,
) -> None:
    """Run a whole swarm on this machine, show its peers together, and sum it up.

    Each peer is a real daemon on loopback, with its own home and port: it trains as `swarmd join` does.
    --steps ends each peer after that many steps; --seconds or Ctrl-C ends the whole run. --http serves the
    page of an observer. Nothing is left behind unless --home or --keep is given.
    """
    from swarmd.cli.foresight import foresee_testnet
    from swarmd.cli.home import home_path
    from swarmd.config import load_config
    from swarmd.storage import Home
    from swarmd.testnet import attackers as hostile
    from swarmd.testnet import homes
    from swarmd.testnet.capacity import capacity, require_room

    named = _models(models)
    kinds = hostile.kinds(attackers, _parts(attack))
    place = None if home is None else home_path(home)
    nowhere = place or Path(tempfile.gettempdir(), homes.PREFIX)  # contains no config.toml
    config = load_config(nowhere, overrides(given))
    if place is not None:
        homes.require_ours(place)
    foresee_testnet(config, named, Home(nowhere / "peer-1"))
    _require_writable(json_)
    asked = Asked(
        peers=peers,
        models=named,
        settings={key: value for key, value in given.items() if key not in OF_THE_WHOLE},
        swarm=config.swarm,
        evaluate_every=config.observe.evaluate_every,
        steps=config.steps,
        seconds=seconds,
        chaos=chaos,
        attacks=kinds,
        seed=config.seed,
        http=config.observe.http,
    )
    require_room([asked.model_of(number) for number in range(1, peers + 1)], capacity())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # so that files are removed while no fleet handles signals
    with homes.directory(place, keep=keep) as directory:
        outcome = _play(asked, directory, to_stderr=json_ == STDOUT)
        if keep or place is not None:
            typer.echo(f"the homes are in {directory}", err=True)
    unwritten = _write_json(json_, outcome)
    if outcome.failure is not None:
        raise outcome.failure
    if unwritten is not None:
        raise unwritten
    raise typer.Exit(outcome.code)


def _leave(number: int, _frame: object) -> None:
    sys.exit(exit_codes.of_signal(number))


def _models(text: str) -> tuple[str, ...]:
    named = _parts(text)
    if len(named) > MODELS_MAX:
        raise ConfigError(f"--models names {len(named)} models: at most {MODELS_MAX}")
    return tuple(map(_from_anywhere, named))


def _from_anywhere(model: str) -> str:
    """Return a directory's absolute path, so that kept homes work from any directory."""
    if model in (*INSIDE, SMOLLM2):
        return model
    path = path_of(model, "--models")
    try:
        return str(path.resolve()) if path.is_dir() else model
    except OSError:  # not a possible directory name: reported where models are checked
        return model


def _parts(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    if "" in parts:
        raise ConfigError(f"{quoted(text)} contains an empty name: separate names with single commas")
    return parts


def _play(asked: Asked, directory: Path, *, to_stderr: bool) -> Outcome:
    import asyncio

    from swarmd.testnet import homes, tables
    from swarmd.testnet.capacity import capacity
    from swarmd.testnet.running import Run
    from swarmd.testnet.screen import Output, Screen

    stream = sys.stderr if to_stderr else sys.stdout
    console = Output(file=stream, width=None if stream.isatty() else PLAIN_COLUMNS, highlight=False)
    screen = Screen(console)
    settlers = homes.settle(directory, asked.peers)
    outcome = asyncio.run(Run(asked, directory, settlers, capacity(), arguments, screen).run())
    screen.show(tables.summed_up(outcome.summary))
    return outcome


def _require_writable(json_file: str | None) -> None:
    """Check first, because a summary that cannot be written would be lost. Raises ConfigError."""
    if json_file not in (None, STDOUT):
        require_writable_file(Path(json_file or ""), "--json")


def _write_json(json_file: str | None, outcome: Outcome) -> StorageError | None:
    """Return why the summary could not be written, which is said even if the run itself failed."""
    text = json.dumps(outcome.summary.to_json(), indent=1)
    if json_file == STDOUT:
        typer.echo(text)
    elif json_file is not None:
        try:
            Path(json_file).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            unwritten = disk_error(f"write --json {json_file}", error, FILE)
            if outcome.failure is not None:
                typer.echo(f"warning: {unwritten}", err=True)
            return unwritten
    return None
