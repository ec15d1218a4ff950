"""`swarmd doctor`: whether a peer can work here, and why its plan is what it is."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.errors import ConfigError
from swarmd.observe.text import printable
from swarmd.places import told_devices
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.cli.diagnosis import Check, Diagnosis, Patient

SOMETHING_WRONG = 1
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    home: HomeOption = DEFAULT_HOME,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check everything that a peer needs, and say how to fix what is wrong.

    This checks the home, clock, port, reachability, swarm, disk, database, open files, hub, device, model,
    memory, native decoding and sandbox, and shows the plan with its reasons. Beside a running daemon, it
    checks the daemon's health instead of memory and native decoding. It also works without a home. After
    `join --devices`, name the home of one peer.

    Exit code 0: a peer can work. 1: a check fails.
    """
    from swarmd.cli.diagnosis import Check, Diagnosis, diagnose

    path = home_path(home)
    if not Home(path).identity_path.exists() and (devices := told_devices(path)):
        raise ConfigError(devices)
    try:
        patient = _patient(path)
        if patient.status is None and not as_json:
            typer.echo("no daemon answers here: loading PyTorch to run the checks, some seconds", err=True)
        found = diagnose(patient)
    except ConfigError as error:  # nothing else can be checked until the settings can be read
        remedy = f"`swarmd config check --home {shlex.quote(str(path))}`"
        found = Diagnosis((Check("settings", "fail", str(error), remedy),), ())
    if as_json:
        plain = {"ok": found.ok, "home": str(path), **asdict(found)}
        typer.echo(json.dumps(plain, indent=2))
    else:
        _print(found)
    raise typer.Exit(0 if found.ok else SOMETHING_WRONG)


def _patient(path: Path) -> Patient:
    from swarmd.cli.diagnosis import Patient
    from swarmd.config import load_config
    from swarmd.observe import NoDaemonError, StartingError, ask_status

    home, config = Home(path), load_config(path, {})
    try:
        return Patient(home, config, ask_status(path, home.socket_path))
    except StartingError as error:
        return Patient(home, config, None, starting=str(error))
    except NoDaemonError:
        return Patient(home, config, None)


def _print(found: Diagnosis) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for check in found.checks:
        table.add_row(Text(check.state, style=STYLES[check.state]), check.name, _told(check))
    console = Console()
    console.print(table)
    if found.plan:
        console.print(Text("\nplan", style="bold"))
        for reason in found.plan:
            console.print(Padding(Text(printable(reason)), (0, 0, 0, 2), expand=False))
    counts = {state: sum(check.state == state for check in found.checks) for state in STYLES}
    warnings = "1 warning" if counts["warn"] == 1 else f"{counts['warn']} warnings"
    console.print(Text(f"\n{counts['fail']} failed, {warnings}, {counts['ok']} ok"))


def _told(check: Check) -> Text:
    """Return text, not markup: peers choose some of it."""
    text = Text(printable(check.detail))
    return text if not check.remedy else text.append(f"\n→ {printable(check.remedy)}", style="dim")
