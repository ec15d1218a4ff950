"""Read texts, paths and flags without pydantic.

Typer has pydantic read every value, even one that was not given. That takes a tenth of a second of CPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer


def read_simply(parameters: Sequence[Any]) -> None:
    """Have a command's parameters read without pydantic. Does nothing under a release of typer that reads
    them differently.
    """
    for parameter in parameters:
        if getattr(parameter, "_runtime_param", parameter) is None:  # typer fills it at first use
            parameter._runtime_param = _Simply()


class _Simply:
    """Runs before typer's own reader, which still reads everything that is not plain."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Same signature as typer's method."""
        described = param.type_descriptor
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if described.annotation is Path and value == "":
            raise typer.BadParameter("the path is empty: write . for this directory", ctx, param)
        if described.annotation is str and _is_option(param) and not value.strip():
            raise typer.BadParameter("the value is empty: give one, or leave the option out", ctx, param)
        if described.parameter_info.parser is None and isinstance(value, str | Path):
            if described.annotation is str:
                return str(value)
            if described.annotation is Path and _passes(value, described.parameter_info):
                return Path(value)
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")


def _passes(path: str | Path, wanted: Any) -> bool:
    """Whether typer would accept the path as it is."""
    if wanted.exists or wanted.resolve_path or wanted.allow_dash or wanted.path_type or wanted.writable:
        return False
    if not (wanted.file_okay and wanted.dir_okay):
        return False
    try:
        return os.access(path, os.R_OK) or not Path(path).exists()
    except OSError:  # inaccessible: the command reports it itself
        return True
