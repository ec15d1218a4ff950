"""Commands that are imported only when they are called, so that `swarmd --help` need not load them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from swarmd import exit_codes
from swarmd.cli.plain_values import read_simply
from swarmd.spared import spare_typer


@dataclass(frozen=True)
class Command:
    """Where a command is defined, and its line in the list of commands."""

    place: str
    """MODULE:NAME of a function, or of a `typer.Typer` that has commands of its own."""
    summary: str
    """The first sentence of the command's own help."""

    def load(self, name: str) -> Any:
        """Load the whole command, called `name`."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(module), attribute)
        holder = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", callback=_nothing
        )
        if isinstance(found, typer.Typer):
            for each in found.registered_commands:
                each.cls = _Command
            holder.add_typer(found, name=name)
        else:
            holder.command(name, cls=_Command)(found)
        command = typer.main.get_command(holder).commands[name]  # type: ignore[attr-defined]  # it is a group
        for shown in (command, *getattr(command, "commands", {}).values()):
            shown.help = _one_line_each(shown.help or "")
        return command


def _one_line_each(text: str) -> str:
    """Return the paragraphs without the source's line breaks, which do not fit the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


class _ReadSimply:
    """Reads a command's plain parameters, including --help, without pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of a command
        read_simply(parameters)
        return parameters


class _Command(_ReadSimply, TyperCommand):
    pass


def group_of(commands: Mapping[str, Command]) -> type[TyperGroup]:
    """Return the class of a group that has these commands, in this order."""

    class Group(_ReadSimply, TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            summaries = {name: TyperCommand(name, help=each.summary) for name, each in commands.items()}
            super().__init__(**{**attributes, "commands": summaries})

        def list_commands(self, _: Any) -> list[str]:
            return list(commands)

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            """Load only the command that is called or whose options are being completed."""
            name, found, rest = super().resolve_command(ctx, args)
            return name, found if name is None else commands[name].load(name), rest

    return Group


HELP_FLAGS = ("-h", "--help")


def print_help(app: typer.Typer, arguments: Sequence[str]) -> int | None:
    """Print the help of the command that `arguments` name, if they end with --help and nothing else, or if
    the command is a group and no subcommand is named. Returns the exit code; None if this is not a request
    for help.

    Typer itself would first import pydantic, to read flags that were not given.
    """
    is_asked = bool(arguments) and arguments[-1] in HELP_FLAGS
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name=app.info.name, help_option_names=list(HELP_FLAGS))
    for name in arguments[:-1] if is_asked else arguments:
        if not isinstance(command, TyperGroup) or name not in command.commands:
            return None
        _, command, _ = command.resolve_command(context, [name])
        context = typer.Context(command, parent=context, info_name=name)
    if not is_asked and not isinstance(command, TyperGroup):
        return None
    spare_typer()
    typer.echo(command.get_help(context))
    return exit_codes.DONE if is_asked else exit_codes.MISUSED


def _nothing() -> None:
    """A callback, without which typer does not make a group of commands."""
