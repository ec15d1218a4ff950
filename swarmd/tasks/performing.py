"""Executes a program and evaluates calls of what it defines. Use only in a closed cell.

Nothing here restricts the program: that is the job of `sandbox.cell`. Whatever the program does to the
interpreter affects only its own outputs.
"""

from __future__ import annotations

from typing import Any

from swarmd.tasks.source import Program

OUTPUT_CHARS_MAX = 1_024  # per call; the longest right output of our own tasks has tens


def perform(program: Program) -> tuple[str | None, ...]:
    """The `ascii` of each call's result. None if the call raises anything, or its result is too long."""
    names: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(program.text, "<program>", "exec", dont_inherit=True), names)  # noqa: S102  the purpose
    except BaseException:  # noqa: BLE001  even after `exit()`, outputs are due
        return (None,) * len(program.calls)
    return tuple(_output(call, names) for call in program.calls)


def _output(call: str, names: dict[str, Any]) -> str | None:
    try:
        text = ascii(eval(call, names))  # noqa: S307
    except BaseException:  # noqa: BLE001
        return None
    return text if type(text) is str and len(text) <= OUTPUT_CHARS_MAX else None
