"""`swarmd version`: what is installed, for a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import typer

from swarmd import __version__

SHOWN = ("torch", "transformers", "peft", "hivemind", "reasoning-gym")


def version() -> None:
    """Print the versions of swarmd, Python and the libraries that matter most."""
    typer.echo(f"swarmd {__version__}")
    typer.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in SHOWN:
        try:
            typer.echo(f"{name} {installed(name)}")
        except PackageNotFoundError:
            typer.echo(f"{name} is not installed")
