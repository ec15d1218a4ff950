"""Options that several commands share: --home, --new-identity, --checkpoint and --model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swarmd import places
from swarmd.errors import ConfigError
from swarmd.user_paths import looking_at, path_of

if TYPE_CHECKING:
    from swarmd.storage import Home

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


def checkpoint_option(verb: str) -> Any:
    """The option --checkpoint of a command that uses weights. `verb` starts its help, such as Ask."""
    return typer.Option(
        "--checkpoint",
        metavar="DIR",
        exists=True,
        help=f"{verb} this checkpoint, such as HOME/checkpoints/00000004-step-40. Needs no home.",
    )


def model_option(verb: str) -> Any:
    """The option --model of a command that accepts published models as well as trained weights."""
    return typer.Option(
        "--model",
        metavar="NAME|DIR",
        help=f"Alone: {verb} this published model. With --home or --checkpoint: the base model of those "
        "weights, if it was moved.",
    )


def homes_of_devices(path: Path) -> Sequence[Home]:
    """Return the homes of `join --devices` under `path`; empty if it is that of one peer, which is found out
    without loading anything. Raises ConfigError.
    """
    if not (path / "devices").is_dir():
        return ()
    from swarmd.fleet import device_homes

    return device_homes(path)


def home_path(home: Path) -> Path:
    """Return the home as an absolute path, which need not exist. Raises ConfigError for a nonexistent user's
    home, for a file, and for a path that this user cannot access.
    """
    path = path_of(home, "--home")
    with looking_at(home, "--home"):
        try:
            path = path.resolve()
        except RuntimeError as error:
            raise ConfigError(f"--home {home} is a symbolic link to itself: name a directory") from error
        if path.exists() and not path.is_dir():
            raise ConfigError(f"--home {home} is a file: name a directory")
    return path
