"""`swarmd`: the commands together, and what becomes of errors.

Exit codes: 0 done, 1 failed (`check`: something is wrong), 2 a wrong flag or setting, 3 no daemon to ask.
Commands import torch and the network inside their functions, so that --help, status and version are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from swarmd.cli import check, evaluate, experiment, init, join, judging, key, records, status, version
from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe import printable

FAILED, MISUSED = 1, 2

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
    """Run one command and exit. What a person can act on is one message; a bug keeps its traceback."""
    try:
        app(args=arguments, prog_name="swarmd")
    except SwarmdError as error:
        # Line by line: an error may quote what a peer wrote.
        print("error:", "\n".join(printable(line) for line in str(error).splitlines()), file=sys.stderr)
        sys.exit(MISUSED if isinstance(error, ConfigError) else FAILED)
    sys.exit(0)
