"""`swarmd`: all commands, and how errors end them.

Exit codes: `swarmd.exit_codes`.
Commands import torch and the network inside their functions, which keeps --help, status and version quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import typer

from swarmd import exit_codes
from swarmd.cli import (
    check,
    evaluate,
    experiment,
    health,
    init,
    join,
    judging,
    key,
    observe,
    records,
    status,
    version,
)
from swarmd.errors import ConfigError, SwarmdError, is_disk_full
from swarmd.observe import printable

app = typer.Typer(
    name="swarmd",
    help="Peers that teach language models to reason, together. Begin with: swarmd join",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a bug keeps Python's own traceback
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("join")(join.join)
app.command("status")(status.status)
app.command("observe")(observe.observe)
app.command("health")(health.health)
app.command("ban")(judging.ban)
app.command("unban")(judging.unban)
app.command("trust")(judging.trust)
app.command("untrust")(judging.untrust)
app.command("init")(init.init)
app.command("eval")(evaluate.evaluate)
app.command("check")(check.check)
app.add_typer(key.app, name="key")
app.add_typer(records.app, name="records")
app.add_typer(experiment.app, name="experiment")
app.command("version")(version.version)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit. An error that a person can fix is one message; a bug keeps its traceback."""
    try:
        app(args=arguments, prog_name="swarmd")
    except SwarmdError as error:
        _say(error)
        if is_disk_full(error):
            leave(exit_codes.DISK_FULL)
        leave(exit_codes.MISUSED if isinstance(error, ConfigError) else exit_codes.FAILED)
    except SystemExit as done:
        leave(done.code if isinstance(done.code, int) else exit_codes.FAILED)
    except Exception as error:  # noqa: BLE001  a bug: Python would exit with 1, the code of errors that people can fix
        if is_disk_full(error):
            _say(error)
            leave(exit_codes.DISK_FULL)
        traceback.print_exc()
        leave(exit_codes.BUG)
    leave(exit_codes.DONE)


def _say(error: Exception) -> None:
    with suppress(OSError):  # the terminal is gone
        # Line by line, because an error may quote what a peer wrote.
        print("error:", "\n".join(printable(line) for line in str(error).splitlines()), file=sys.stderr)


def leave(code: int) -> NoReturn:
    """Exit with `code` even if the terminal or the reader of the output is gone.

    Python reports a closed stream at the very end and then exits with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
