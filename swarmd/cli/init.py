"""`swarmd init`: the home with its key and config file, without starting anything."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.config import default_config_toml, load_config
from swarmd.errors import ConfigError
from swarmd.storage import Home
from swarmd.storage.durable import remedy, write_whole

NewIdentityOption = Annotated[
    bool,
    typer.Option(
        "--new-identity",
        help="Where identity.key is missing: be a new peer with the weights that are there. The former "
        "peer's database is set aside as former-swarmd.db.",
    ),
]


def init(home: HomeOption = DEFAULT_HOME, new_identity: NewIdentityOption = False) -> None:
    """Create a home with its key and config, and say where they are. An existing home is left as it is."""
    load_config(home_path(home), {})  # a config file that is wrong is better said now than at the first join
    created = open_home(home, new_identity=new_identity)
    typer.echo(f"peer id  {created.key().peer_id}")
    typer.echo(f"home     {created.path}")
    typer.echo(f"key      {created.identity_path} (keep it private: it is this peer's name)")
    typer.echo(f"config   {created.config_path}")
    at = "" if created.path == home_path(DEFAULT_HOME) else f" --home {shlex.quote(str(created.path))}"
    typer.echo(f"next     swarmd join{at}")


def open_home(path: Path, *, new_identity: bool = False) -> Home:
    """The home at `path`, made where needed, with a config file. Raises ConfigError."""
    if new_identity and Home(home_path(path)).identity_path.exists():
        typer.echo(
            "note: this home has its identity.key: it stays the peer it is, whatever --new-identity says"
        )
    home = Home.open(home_path(path), new_identity=new_identity)
    if write_config(home) and home.traces():
        typer.echo(f"warning: {home.config_path} was missing: all settings are the defaults now", err=True)
    return home


def write_config(home: Home) -> bool:
    """The commented config file, unless there is one: that is the operator's own. Returns whether there was
    none. Raises ConfigError."""
    if os.path.lexists(home.config_path):
        return False
    try:
        write_whole(home.config_path, default_config_toml().encode(), beside=".writing-config.toml")
    except OSError as error:
        raise ConfigError(f"{home.config_path} cannot be written: {remedy(error)}") from error
    return True
