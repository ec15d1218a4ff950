"""`swarmd key`: back up this peer's identity, and restore it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from protocol import KeyPair, ProtocolError
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.errors import ConfigError
from swarmd.storage import Home
from swarmd.storage.durable import FILE, remedy, write_whole
from swarmd.storage.identity import KEY_BYTES_MAX

app = typer.Typer(help="Back up this peer's key, and restore it.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The copy of the key.", show_default=False)]


@app.command("backup")
def backup(file: File, home: HomeOption = DEFAULT_HOME) -> None:
    """Write the key to FILE, readable by this user only. Another peer's key is not overwritten."""
    key = Home.existing(home_path(home)).key()
    path = file.absolute()
    if os.path.lexists(path) and read_key_file(path).peer_id != key.peer_id:
        raise ConfigError(f"{path} is the key of another peer: choose another file")
    try:
        write_whole(path, key.to_libp2p(), beside=f".writing-{path.name}")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {remedy(error, FILE)}") from error
    typer.echo(
        f"the key of {key.peer_id} is in {path}: keep it private, because anyone who has it can act as this "
        "peer"
    )


@app.command("restore")
def restore(
    file: File,
    home: HomeOption = DEFAULT_HOME,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace another key, or a damaged one, which is kept as former-identity.key."
        ),
    ] = False,
) -> None:
    """Make the key in FILE the key of this home. The home is created if there is none."""
    key = read_key_file(file.absolute())
    target = Home(home_path(home))
    verdict = target.restore_key(key, replace=replace)
    typer.echo(f"{target.path} is the home of {key.peer_id}{verdict}")


def read_key_file(path: Path) -> KeyPair:
    """Read the key in a file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {remedy(error, FILE)}") from error
    try:
        return KeyPair.from_libp2p(data)
    except ProtocolError as error:
        raise ConfigError(f"{path} is not the key of a peer ({error})") from error
