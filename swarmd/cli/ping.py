"""`swarmd ping`: whether a peer answers the daemon of a home, and how fast."""

from __future__ import annotations

from typing import Annotated

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.naming import find_peer, listed_peers
from swarmd.errors import ConfigError
from swarmd.names import named
from swarmd.observe import ask_to_ping
from swarmd.storage import Home


def ping(
    peer: Annotated[
        str, typer.Argument(metavar="PEER", help="Its id, the end of it, or its name.", show_default=False)
    ],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Have the running daemon ping a peer. Exit code 1: no answer, with the reason. 3: no daemon runs."""
    found = Home(home_path(home))
    wanted = find_peer(peer, listed_peers(found))
    if wanted == found.key().peer_id:
        raise ConfigError(f"{named(wanted)} is this peer itself: name another one")
    seconds = ask_to_ping(found.path, found.socket_path, wanted)
    typer.echo(f"{named(wanted)} answers in {seconds * 1000:.0f} ms")
