"""`swarmd status`: show the state of the daemon that runs in a home."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path, homes_of_devices
from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe import NoDaemonError, StartingError, ask_status
from swarmd.places import socket_path

if TYPE_CHECKING:
    from swarmd.observe import StatusSnapshot
    from swarmd.storage import Home

NO_DAEMON = 3


def status(
    home: HomeOption = DEFAULT_HOME,
    everything: Annotated[bool, typer.Option("--all", help="Show every fact about this peer.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
    peer: Annotated[
        str | None,
        typer.Option(
            "--peer",
            metavar="ADDR",
            help="Ask the swarm of this peer who is in it. Needs no home.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the state of the daemon that runs in a home. Exit code 3: none runs, or it is still starting.

    In a home of `join --devices`, this shows all peers. With --json they are {"devices": {"cuda-0": ...}},
    with null for a peer that does not answer. Exit code 3: none of them answers.
    """
    if watch and (as_json or peer is not None):
        raise ConfigError("--watch shows one home in a terminal: leave out --json and --peer")
    if peer is not None:
        from swarmd.addresses import parse_peer_address

        parse_peer_address(peer)
        if not as_json:
            typer.echo("loading the network, then asking the swarm: some seconds", err=True)
        from swarmd.cli.status_outside import show_outside

        show_outside(peer, as_json=as_json)
        return
    path = home_path(home)
    if watch:
        from swarmd.cli.showing_status import watch_status

        watch_status(path, everything=everything)
        return
    try:
        snapshot = ask_status(path, socket_path(path))
    except NoDaemonError as error:
        if found := homes_of_devices(path):
            raise typer.Exit(_show_devices(found, as_json, everything=everything)) from error
        typer.echo(str(error) if isinstance(error, StartingError) else f"error: {error}", err=True)
        raise typer.Exit(NO_DAEMON) from error
    if as_json:
        typer.echo(snapshot.model_dump_json(indent=2))
    else:
        from swarmd.cli.showing_status import show

        show(snapshot, everything=everything)


def _show_devices(homes: Sequence[Home], as_json: bool, *, everything: bool) -> int:
    """Show each peer in turn. Returns the exit code."""
    found: dict[str, StatusSnapshot | None] = {}
    for home in homes:
        try:
            found[home.path.name] = ask_status(home.path, home.socket_path)
        except StartingError as error:
            found[home.path.name] = None
            typer.echo(str(error), err=True)
        except NoDaemonError:
            found[home.path.name] = None
        except SwarmdError as error:  # a peer that hangs must not hide the others
            found[home.path.name] = None
            typer.echo(f"error: {error}", err=True)
    if as_json:
        plain = {name: each and each.model_dump(mode="json") for name, each in found.items()}
        typer.echo(json.dumps({"devices": plain}, indent=2))
    else:
        from swarmd.cli.showing_status import show

        for name, each in found.items():
            typer.secho(f"── {name}", bold=True)
            if each is None:
                typer.echo("no daemon answers")
            else:
                show(each, everything=everything)
            typer.echo()
    return 0 if any(found.values()) else NO_DAEMON
