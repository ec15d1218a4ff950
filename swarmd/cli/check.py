"""`swarmd check`: whether everything in a home is as it was written."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path, homes_of_devices
from swarmd.errors import ConfigError
from swarmd.observe import printable
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.storage.checking import Finding

SOMETHING_WRONG = 1
MEGABYTE = 1e6


def check(
    home: HomeOption = DEFAULT_HOME,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Set damaged parts aside and make ledger and records agree. Deletes nothing.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify every part of a home: key, settings, database, records, checkpoints, permissions, leftovers.

    In a home of `join --devices`, the parts of each peer's home follow, named cuda-0/swarmd.db and so on.

    It only reads, so it can run next to a daemon; --repair cannot. Exit code 0: nothing is wrong. 1:
    something is wrong, or still wrong after --repair.
    """
    target = Home(home_path(home))
    devices = homes_of_devices(target.path)
    files = target.identity_path, target.config_path, target.lock_path
    if not (devices or any(path.exists() for path in files) or target.traces()):
        raise ConfigError(f"there is no swarmd home at {target.path}: name another with --home")
    homes = {"": target} | {f"{device.path.name}/": device for device in devices}
    findings, done = [], []
    with ExitStack() as stack:
        for each in homes.values() if repair else ():
            stack.enter_context(each.lock())
        for prefix, each in homes.items():
            found, mended = _look(each, repair=repair)
            findings += [replace(finding, part=f"{prefix}{finding.part}") for finding in found]
            done += [f"{prefix}{line}" for line in mended]
    wrong = [finding for finding in findings if finding.is_wrong]
    if as_json:
        typer.echo(json.dumps(_plain(target, findings, done), indent=2))
    else:
        _print(findings, done)
        typer.echo(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    raise typer.Exit(SOMETHING_WRONG if wrong else 0)


def _look(home: Home, *, repair: bool) -> tuple[list[Finding], list[str]]:
    """Return the state of one home's parts, after a repair if asked for, and what was repaired."""
    from swarmd.storage.checking import look
    from swarmd.storage.mending import mend

    findings = [*look(home, is_locked=repair), _settings(home)]
    done = mend(home, findings, now=time.time()) if repair else []
    return ([*look(home, is_locked=repair), _settings(home)] if done else findings), done


def _settings(home: Home) -> Finding:
    from swarmd.config import load_config
    from swarmd.storage.checking import Finding

    path = home.config_path
    if not path.exists():
        return Finding("config.toml", "absent", "all settings have their defaults", path)
    try:
        load_config(home.path, {})
    except ConfigError as error:
        return Finding("config.toml", "wrong", str(error), path)
    return Finding("config.toml", "whole", "", path, path.stat().st_size)


def _plain(home: Home, findings: Sequence[Finding], done: Sequence[str]) -> dict[str, object]:
    return {
        "home": str(home.path),
        "ok": not any(finding.is_wrong for finding in findings),
        "repaired": list(done),
        "parts": [
            {
                "part": finding.part,
                "state": finding.state,
                "detail": finding.detail,
                "path": str(finding.path),
                "bytes": finding.size,
            }
            for finding in findings
        ],
    }


def _print(findings: Sequence[Finding], done: Sequence[str]) -> None:
    table = Table("part", "state", "MB", "", box=None, pad_edge=False)
    for finding in findings:
        style = "red" if finding.is_wrong else ""
        size = f"{finding.size / MEGABYTE:.2f}" if finding.size else "–"
        table.add_row(
            Text(printable(finding.part)),
            Text(finding.state, style=style),
            size,
            Text(printable(finding.detail)),
        )
    console = Console()
    console.print(table)
    for line in done:
        console.print(Text(f"repaired: {printable(line)}"), soft_wrap=True)
