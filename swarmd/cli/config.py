"""`swarmd config`: the settings in force with the origin of each, and whether a settings file is valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swarmd.cli.flags import FLAGS, Given, overrides, with_settings
from swarmd.cli.home import DEFAULT_HOME, HomeOption, home_path
from swarmd.errors import ConfigError
from swarmd.observe.text import printable
from swarmd.quoting import PATH_CHARS_MAX, shortened

SECRET = ("token", "password", "secret", "api_key")
"""Settings whose names end like this are secret: their values are not shown."""
HIDDEN = "(hidden)"

app = typer.Typer(help="Show the settings in force, and check a file of settings.", no_args_is_help=True)


@app.command("show")
@with_settings(*FLAGS)
def show(
    given: Given,
    home: HomeOption = DEFAULT_HOME,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out defaults.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every setting as `swarmd join` with the same flags would use it, and where it comes from.

    Flags override SWARMD_* variables, which override config.toml, which overrides defaults. --json prints
    {"learning.local": {"value": 4, "origin": "default"}, ...}.
    """
    from swarmd.config.loading import load_with_origins
    from swarmd.config.settings import SETTINGS

    config, origins = load_with_origins(home_path(home), overrides(given))
    plain = config.model_dump(mode="json")
    rows = {}
    for key in SETTINGS:
        section, _, name = key.rpartition(".")
        value = (plain[section] if section else plain)[name]
        origin = "flag --home, SWARMD_HOME or default" if key == "home" else origins.get(key, "default")
        if not changed or key in origins:
            rows[key] = {"value": HIDDEN if name.endswith(SECRET) and value else value, "origin": origin}
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif not rows:
        typer.echo("all settings have their defaults")
    else:
        _print(rows)


@app.command("check")
def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Settings in TOML. (default: config.toml of the home)"),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Check a settings file, together with the environment variables that override it.

    Exit code 0: it is valid. 2: it is not; the message names file, line and key.
    """
    from swarmd.config.loading import load_with_origins

    path = home_path(home)
    chosen = path / "config.toml" if file is None else file
    try:
        if chosen.is_dir():
            raise ConfigError(f"{chosen} is a directory: name the file in it, or give the home with --home")
        if not chosen.is_file():
            hint = "all settings have their defaults" if file is None else "name a file"
            raise ConfigError(f"there is no file {chosen}: {hint}")
    except OSError as error:
        raise ConfigError(
            f"{shortened(str(chosen), PATH_CHARS_MAX)} cannot be read: {error.strerror}; name another file"
        ) from error
    _, origins = load_with_origins(path, {}, chosen)
    here = sum(origin.startswith(f"{chosen}, line ") for origin in origins.values())
    typer.echo(f"{chosen}: valid; it sets {here} setting{'s' if here != 1 else ''}")


def _print(rows: dict[str, dict[str, object]]) -> None:
    table = Table("setting", "value", "origin", box=None, pad_edge=False)
    for key, row in rows.items():
        value = row["value"]
        shown = value if isinstance(value, str) else "–" if value is None else json.dumps(value)
        style = "dim" if row["origin"] == "default" else "bold"
        cells = (key, printable(shown), printable(str(row["origin"])))
        table.add_row(*(Text(cell, style=style) for cell in cells))
    Console().print(table)
