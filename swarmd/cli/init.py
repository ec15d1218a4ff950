"""`swarmd init`: create a home with its key and config file, and start nothing."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from swarmd.cli.home import DEFAULT_HOME, HomeOption, NewIdentityOption, home_path
from swarmd.errors import ConfigError

if TYPE_CHECKING:
    from swarmd.storage import Home


def init(home: HomeOption = DEFAULT_HOME, new_identity: NewIdentityOption = False) -> None:
    """Create a home with its key and config file, and say where they are. An existing home is left
    unchanged.
    """
    from swarmd.config import load_config

    load_config(home_path(home), {})  # report a wrong config file now rather than at the first join
    created = open_home(home, new_identity=new_identity)
    typer.echo(f"peer id  {created.key().peer_id}")
    typer.echo(f"home     {created.path}")
    typer.echo(f"key      {created.identity_path} (keep it private: anyone who has it can act as this peer)")
    typer.echo(f"config   {created.config_path}")
    at = "" if created.path == home_path(DEFAULT_HOME) else f" --home {shlex.quote(str(created.path))}"
    typer.echo(f"next     swarmd join{at}")


def open_home(path: Path, *, new_identity: bool = False) -> Home:
    """Return the home at `path`, created if needed, with a config file. Raises ConfigError."""
    from swarmd.storage import Home

    if new_identity and Home(home_path(path)).identity_path.exists():
        typer.echo(
            "note: --new-identity is ignored, because this home has its identity.key and stays the same peer"
        )
    home = Home.open(home_path(path), new_identity=new_identity)
    if write_config(home) and home.traces():
        typer.echo(f"warning: {home.config_path} was missing: all settings have their defaults now", err=True)
    return home


def write_config(home: Home) -> bool:
    """Write the commented config file unless there already is one. Returns whether it was written. Raises
    ConfigError.
    """
    if os.path.lexists(home.config_path):
        return False
    from swarmd.config import default_config_toml
    from swarmd.storage.durable import remedy, write_whole

    try:
        write_whole(home.config_path, default_config_toml().encode(), beside=".writing-config.toml")
    except OSError as error:
        raise ConfigError(f"{home.config_path} cannot be written: {remedy(error)}") from error
    return True
