"""`swarmd init`: the home with its key and config file, without starting anything."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from swarmd.cli.options import DEFAULT_HOME, HomeOption, home_path
from swarmd.config import default_config_toml, load_config
from swarmd.errors import ConfigError
from swarmd.storage import Home


def init(home: HomeOption = DEFAULT_HOME) -> None:
    """Create a home with its key and config, and say where they are. An existing home is left as it is."""
    load_config(home_path(home), {})  # a config file that is wrong is better said now than at the first join
    created = open_home(home)
    typer.echo(f"peer id  {created.key().peer_id}")
    typer.echo(f"home     {created.path}")
    typer.echo(f"key      {created.identity_path} (keep it private: it is this peer's name)")
    typer.echo(f"config   {created.config_path}")
    at = "" if created.path == home_path(DEFAULT_HOME) else f" --home {shlex.quote(str(created.path))}"
    typer.echo(f"next     swarmd join{at}")


def open_home(path: Path) -> Home:
    """The home at `path`, made where needed, with a config file. Raises ConfigError."""
    home = Home.open(home_path(path))
    write_config(home)
    return home


def write_config(home: Home) -> None:
    """The commented config file, unless there is one: that is the operator's own. Raises ConfigError."""
    try:
        with home.config_path.open("x", encoding="utf-8") as file:
            file.write(default_config_toml())
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"{home.config_path} cannot be written: {error.strerror}") from error
