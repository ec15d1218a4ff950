"""`swarmd peers`: the other peers of the swarm, as the daemon of a home sees them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.peer_table import peer_table
from swarmd.observe import ask_status
from swarmd.storage import Home


def peers(
    home: HomeOption = DEFAULT_HOME,
    everybody: Annotated[bool, typer.Option("--all", help="Also show peers that are gone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as one JSON array.")] = False,
) -> None:
    """List the other peers. `to me`: groups pulled from it. `from me`: times that it pulled from here."""
    path = home_path(home)
    status = ask_status(path, Home(path).socket_path)
    listed = [peer for peer in status.peers if everybody or not peer.gone]
    if as_json:
        typer.echo(json.dumps([peer.model_dump(mode="json") for peer in listed], indent=2))
        return
    if not listed:
        typer.echo("no other peer is here")
    else:
        Console().print(peer_table(listed, shown=len(listed)))
    if gone := len(status.peers) - len(listed):
        Console().print(Text(f"gone: {gone}, listed with --all", style="dim"))
