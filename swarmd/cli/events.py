"""`swarmd events`: what happened in a home, newest last, with or without a daemon."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.observe.live_state import describe
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.storage.happenings import Happening

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
LISTED = 50  # events shown by default: a few minutes, about a screen
LISTED_MAX = 12_000  # as many as a home keeps, including level debug
FOLLOW_EVERY_S = 1.0  # as often as the daemon writes them


def events(
    home: HomeOption = DEFAULT_HOME,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep showing new events.")] = False,
    level: Annotated[Level, typer.Option("--level", help="The least severe level to show.")] = "info",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LISTED_MAX, help="Number of events to show.")
    ] = LISTED,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on each line.")] = False,
) -> None:
    """Show the newest events. The home keeps 10,000 of them, plus 2,000 of level debug; times are UTC."""
    from swarmd.storage.happenings import open_happenings

    found = Home.existing(home_path(home))
    wanted = LEVELS[LEVELS.index(level) :]
    connection, happenings = open_happenings(found.database_path)
    with closing(connection):
        shown = happenings.newest(limit, wanted)
        _print(shown, as_json=as_json)
        last = shown[-1].number if shown else 0
        try:
            while follow:
                time.sleep(FOLLOW_EVERY_S)
                fresh = happenings.since(last, wanted)
                _print(fresh, as_json=as_json)
                last = fresh[-1].number if fresh else last
        except KeyboardInterrupt:
            return


def _print(events: Sequence[Happening], *, as_json: bool) -> None:
    for event in events:
        ts = datetime.fromtimestamp(event.at, UTC)
        if as_json:
            line = json.dumps({"ts": event.at, "event": event.name, "level": event.level, **event.fields})
        else:
            bad = "" if event.level in ("debug", "info") else f"{event.level}: "
            line = f"{ts:%Y-%m-%d %H:%M:%S} {bad}{describe(event.name, event.fields)}"
        typer.echo(line)
