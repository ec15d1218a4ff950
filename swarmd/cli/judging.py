"""`swarmd ban`, `unban`, `trust`, `untrust`: the operator's decisions about peers.

A running daemon obeys at once. If none runs, the order is stored in the home's database for the next start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from protocol import PeerId
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.cli.naming import find_peers
from swarmd.gossip.orders import Order
from swarmd.names import name_of
from swarmd.observe import NoDaemonError, StartingError, ask_to_judge
from swarmd.storage import Home

Peers = Annotated[
    list[str],
    typer.Argument(metavar="PEER", help="Peer ids, ends of them, or names.", show_default=False),
]


def ban(peers: Peers, home: HomeOption = DEFAULT_HOME) -> None:
    """Never listen to these peers again. They are disconnected, and their groups are removed from the
    pool.
    """
    _carry_out("ban", peers, home)


def unban(peers: Peers, home: HomeOption = DEFAULT_HOME) -> None:
    """Lift bans. These peers start over as strangers."""
    _carry_out("unban", peers, home)


def trust(peers: Peers, home: HomeOption = DEFAULT_HOME) -> None:
    """Always listen to these peers. Each is served first and has its own share of what is learned.

    What they send is still verified. A ban is lifted.
    """
    _carry_out("trust", peers, home)


def untrust(peers: Peers, home: HomeOption = DEFAULT_HOME) -> None:
    """Withdraw trust. These peers are judged by their behaviour again."""
    _carry_out("untrust", peers, home)


def _carry_out(order: Order, peers: Sequence[str], path: Path) -> None:
    home = Home(home_path(path))
    wanted = find_peers(peers, home)
    try:
        ask_to_judge(home.path, home.socket_path, order, wanted)
        when = "now"
    except StartingError as error:
        raise StartingError(f"{error}: try again in a moment") from error
    except NoDaemonError:
        _judge_stored(order, wanted, Home.existing(home.path))
        when = "from the next start"
    for peer in wanted:
        typer.echo(f"{peer}: {name_of(peer)} is {_DONE[order]} {when}")


_DONE: dict[Order, str] = {
    "ban": "banned",
    "unban": "no longer banned",
    "trust": "trusted",
    "untrust": "no longer trusted",
}


def _judge_stored(order: Order, peers: Sequence[PeerId], home: Home) -> None:
    """Store the order in the database of a home where no daemon runs. Raises ConfigError, StorageError."""
    from swarmd.storage import Database

    with home.lock(), Database(home.database_path) as database:
        database.acquaintances.judge(order, peers, own=home.key().peer_id, now=time.time())
        for peer in peers if order == "ban" else ():
            database.acquaintances.forget(peer)
            database.pool.remove(peer)
