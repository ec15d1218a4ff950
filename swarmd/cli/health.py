"""`swarmd health` on the command line. `swarmd.__main__` answers its usual forms without coming here."""

from __future__ import annotations

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.health import HEALTHY, look


def health(home: HomeOption = DEFAULT_HOME) -> None:
    """Say whether the daemon of a home does its work: `ok`, or the reasons why not. Cheap enough to be asked
    every second.

    Exit code 0: ok; 1: it is not, or does not answer; 3: no daemon runs, or it is still starting.
    """
    code, text = look(str(home_path(home)))
    typer.echo(text, err=code != HEALTHY)
    raise typer.Exit(code)
