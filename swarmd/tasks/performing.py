"""Performs a program: executes it and evaluates calls of what it defines. Only in a closed cell.

Nothing here keeps a program from doing anything: that is what `sandbox.cell` is for. Whatever the program
does to the interpreter, it does to its own outputs.
"""

from __future__ import annotations

from typing import Any

from swarmd.tasks.source import Program

OUTPUT_CHARS_MAX = 1_024  # of one call; the longest right output of our own tasks has tens


def perform(program: Program) -> tuple[str | None, ...]:
    """What each call gives, as `ascii` writes it. None if it raises anything, or writes too much."""
    names: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(program.text, "<program>", "exec", dont_inherit=True), names)  # noqa: S102  the purpose
    except BaseException:  # noqa: BLE001  `exit()` is no reason to end without outputs
        return (None,) * len(program.calls)
    return tuple(_output(call, names) for call in program.calls)


def _output(call: str, names: dict[str, Any]) -> str | None:
    try:
        text = ascii(eval(call, names))  # noqa: S307
    except BaseException:  # noqa: BLE001
        return None
    return text if type(text) is str and len(text) <= OUTPUT_CHARS_MAX else None
