"""Wrong usage as one line, like every other error: what was wrong, what was given, and where to look."""

from __future__ import annotations

from typing import Any

import typer

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's own class, or click's where typer builds on it: a wrong flag, argument or command."""


def explain(error: Any, command: str) -> str:
    """Return the line for a `USAGE_ERROR`. `command` is what was called, such as "swarmd join"."""
    text = _what(error)
    path = error.ctx.command_path if error.ctx else command
    return f"{text} See `{path} --help`" if text.endswith("?") else f"{text}; see `{path} --help`"


def _what(error: Any) -> str:
    if isinstance(error, typer.BadParameter) and error.message:
        name = _name(error)
        return f"{name}: {_reason(error)}" if name else _reason(error)
    return _begun_small(error.format_message())


def _name(error: Any) -> str:
    """Return the flag, or the argument as the help shows it."""
    if error.param_hint is not None or error.param is None:
        return error.param_hint or ""
    is_option = error.param.param_type_name == "option"
    return " / ".join(error.param.opts) if is_option else str(error.param.metavar or error.param.name)


def _reason(error: Any) -> str:
    from pydantic import ValidationError

    from swarmd.config.wording import explained

    if isinstance(error.__cause__, ValidationError):
        return explained(error.__cause__.errors(include_url=False)[0]).rstrip(".")
    return _begun_small(error.message)


def _begun_small(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
