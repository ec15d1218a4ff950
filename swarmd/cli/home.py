"""The option --home, which every command takes, and --new-identity, for those that make a home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarmd import places
from swarmd.errors import ConfigError

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar=places.HOME_VARIABLE,
        metavar="DIR",
        help="Directory with this peer's key, config, checkpoints and records. (default: ~/.swarmd)",
        show_default=False,
    ),
]
NewIdentityOption = Annotated[
    bool,
    typer.Option(
        "--new-identity",
        help="If identity.key is missing, become a new peer that keeps the weights. The former peer's "
        "database is set aside as former-swarmd.db.",
    ),
]
DEFAULT_HOME = Path(places.DEFAULT_HOME)


def home_path(home: Path) -> Path:
    """The home as an absolute path. Raises ConfigError for the home of a user that does not exist."""
    try:
        return home.expanduser().resolve()
    except RuntimeError as error:
        raise ConfigError(f"--home {home}: there is no such user: write the directory out") from error
