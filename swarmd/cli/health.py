"""`swarmd health` with --help or unusual arguments. `swarmd.__main__` handles the usual forms itself."""

from __future__ import annotations

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.health import HEALTHY, look


def health(home: HomeOption = DEFAULT_HOME) -> None:
    """Print `ok` if the daemon of a home does its work, else the reasons. Cheap enough to run every second.

    Exit code 0: ok. 1: not ok, or no answer. 3: no daemon runs, or it is still starting.
    """
    code, text = look(str(home_path(home)))
    typer.echo(text, err=code != HEALTHY)
    raise typer.Exit(code)
