"""`swarmd`: all commands, and how errors end them.

Exit codes: `swarmd.exit_codes`. Each command is imported when it is called, and imports torch and the network
inside its functions. This keeps --help, completion, status and version fast.
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
from swarmd.cli.commands import HELP_FLAGS, Command, group_of, print_help
from swarmd.cli.usage import USAGE_ERROR, explain
from swarmd.errors import ConfigError, SwarmdError, is_disk_full
from swarmd.observe.text import printable
from swarmd.streams import OUTPUT, leave, why_unwritten

COMMANDS = {
    "join": Command("swarmd.cli.join:join", "Join a swarm, or start one, and train until stopped."),
    "status": Command("swarmd.cli.status:status", "Show the state of the daemon that runs in a home."),
    "peers": Command(
        "swarmd.cli.peers:peers",
        "List the other peers. `to me`: groups pulled from it. `from me`: times that it pulled from here.",
    ),
    "ping": Command(
        "swarmd.cli.ping:ping",
        "Have the running daemon ping a peer. Exit code 1: no answer, with the reason.",
    ),
    "events": Command(
        "swarmd.cli.events:events",
        "Show the newest events. The home keeps 10,000 of them, plus 2,000 of level debug; times are UTC.",
    ),
    "logs": Command(
        "swarmd.cli.events:events",
        "Show the newest events. The home keeps 10,000 of them, plus 2,000 of level debug; times are UTC.",
    ),
    "health": Command(
        "swarmd.cli.health:health", "Print `ok` if the daemon of a home does its work, else the reasons."
    ),
    "observe": Command(
        "swarmd.cli.observe:observe",
        "Observe a swarm without training: --peer names one of its peers.",
    ),
    "ban": Command("swarmd.cli.judging:ban", "Never listen to these peers again."),
    "unban": Command("swarmd.cli.judging:unban", "Lift bans."),
    "trust": Command("swarmd.cli.judging:trust", "Always listen to these peers."),
    "untrust": Command("swarmd.cli.judging:untrust", "Withdraw trust."),
    "init": Command(
        "swarmd.cli.init:init", "Create a home with its key and config file, and say where they are."
    ),
    "eval": Command(
        "swarmd.cli.evaluate:evaluate",
        "Score a policy greedily on held-out questions.",
    ),
    "ask": Command(
        "swarmd.cli.ask:ask",
        "Answer a question with the current weights: QUESTION, or one question after another until Ctrl-D.",
    ),
    "play": Command(
        "swarmd.cli.play:play",
        "Answer what peers fail most, in this peer's name, and see what becomes of the answers.",
    ),
    "export": Command(
        "swarmd.cli.export:export",
        "Write the trained model as a folder that transformers loads, with a model card.",
    ),
    "check": Command(
        "swarmd.cli.check:check",
        "Verify every part of a home: key, settings, database, records, checkpoints.",
    ),
    "doctor": Command(
        "swarmd.cli.doctor:doctor",
        "Check everything that a peer needs, and say how to fix what is wrong.",
    ),
    "config": Command("swarmd.cli.config:app", "Show the settings in force, and check a file of settings."),
    "key": Command("swarmd.cli.key:app", "Back up this peer's key, and restore it."),
    "swarm": Command(
        "swarmd.cli.swarm:app", "Make, sign, show and verify manifests, and move to a swarm's new version."
    ),
    "records": Command("swarmd.cli.records:app", "List, show, export and verify the records in a home."),
    "service": Command("swarmd.cli.service:app", "Keep a peer running as a service of this user."),
    "testnet": Command(
        "swarmd.cli.testnet:run", "Run a whole swarm on this machine, show its peers together, and sum it up."
    ),
    "experiment": Command("swarmd.cli.experiment:app", "Run, report and compare experiments of many peers."),
    "version": Command(
        "swarmd.cli.version:version",
        "Print the versions of swarmd, Python and the libraries that matter most.",
    ),
}
"""What `swarmd` can do, in the order of its help."""

COMPLETION = "_SWARMD_COMPLETE"
"""Set by a shell that asks typer for completions."""

app = typer.Typer(
    name="swarmd",
    cls=group_of(COMMANDS),
    help="Peers that train language models to reason, together. Start with: swarmd join",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug keeps Python's own traceback
    rich_markup_mode="rich",
    context_settings={"help_option_names": list(HELP_FLAGS)},
)


@app.callback()
def _swarmd() -> None:
    """`typer.Typer` above holds the help text."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit. An error that the user can fix is one message; a bug keeps its traceback."""
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        leave(run(typed))
    except USAGE_ERROR as error:
        known = typed[:1] if typed[:1] and typed[0] in COMMANDS else []
        _say(explain(error, " ".join(["swarmd", *known])))
        leave(exit_codes.MISUSED)
    except typer.Abort:  # Ctrl-D or Ctrl-C at a prompt
        leave(exit_codes.FAILED)
    except SwarmdError as error:
        _say(error)
        if is_disk_full(error):
            leave(exit_codes.DISK_FULL)
        leave(_code_of(error))
    except SystemExit as done:
        leave(done.code if isinstance(done.code, int) else exit_codes.FAILED)
    except Exception as error:  # noqa: BLE001  a bug: Python would exit with 1, our code for fixable errors
        is_full = is_disk_full(error)
        if isinstance(error, OSError) and error.filename == OUTPUT:
            # Nothing is said if its reader has left, as in `swarmd join --help | head`.
            if not isinstance(error, BrokenPipeError):
                _say(why_unwritten(error))
            leave(exit_codes.DISK_FULL if is_full else exit_codes.FAILED)
        if is_full and isinstance(error, OSError):
            _say(f"{error.filename} cannot be written: no space is left" if error.filename else error)
        else:  # even if raised while handling a full disk
            traceback.print_exc()
        leave(exit_codes.DISK_FULL if is_full else exit_codes.BUG)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Raises `USAGE_ERROR` and whatever the command raises."""
    code = None if COMPLETION in os.environ else print_help(app, arguments)
    if code is None:
        code = app(args=arguments, prog_name="swarmd", standalone_mode=False)
    return code if isinstance(code, int) else exit_codes.DONE


def _code_of(error: SwarmdError) -> int:
    from swarmd.observe import NoDaemonError

    if isinstance(error, NoDaemonError):
        return exit_codes.NO_DAEMON
    return exit_codes.MISUSED if isinstance(error, ConfigError) else exit_codes.FAILED


def _say(error: Exception | str) -> None:
    with suppress(OSError):  # the terminal is gone
        # Print line by line, because an error may quote what a peer wrote.
        print("error:", "\n".join(printable(line) for line in str(error).splitlines()), file=sys.stderr)
