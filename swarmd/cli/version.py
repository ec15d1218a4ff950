"""`swarmd version`: what is installed, for a bug report."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import typer

from swarmd import __version__

SHOWN = ("torch", "transformers", "peft", "hivemind", "reasoning-gym")


def version() -> None:
    """Print the versions of swarmd, Python and the libraries that matter most."""
    typer.echo(f"swarmd {__version__}")
    typer.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    found = installed_versions()
    for name in SHOWN:
        typer.echo(f"{name} {found[name]}" if name in found else f"{name} is not installed")


def installed_versions() -> dict[str, str]:
    """Return the versions of swarmd and of the installed libraries, by name."""
    found = {"swarmd": __version__}
    for name in SHOWN:
        with suppress(PackageNotFoundError):
            found[name] = installed(name)
    return found
