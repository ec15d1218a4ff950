"""Warn about a token on the command line, which every user of the machine can read in the list of
processes.
"""

from __future__ import annotations

import typer

from swarmd.cli.flags import Given


def warn_of_open_token(given: Given) -> None:
    """Warn once, at the start."""
    token = given.get("observe.http_token")
    if isinstance(token, str) and not token.startswith("@"):
        typer.echo(
            "warning: every user of this machine can read --http-token TOKEN in the list of processes: use "
            "--http-token @FILE, or SWARMD_OBSERVE__HTTP_TOKEN, or the token that swarmd makes",
            err=True,
        )
