"""An answer in the terminal while it is written."""

from __future__ import annotations

from typing import TextIO

import typer

from swarmd.cli.answering import Answer
from swarmd.observe import printable

UNFINISHED = "\ufffd"  # what a character is shown as whose bytes are not all written yet


class LiveAnswer:
    """Prints what is new of a text each time it grew. With a heading, the text is indented."""

    def __init__(self, out: TextIO, head: str | None = None) -> None:
        self._out = out
        self._indent = "" if head is None else "  "
        self._shown = ""
        if head is not None:
            typer.secho(head, bold=True, file=out)
        self._put(self._indent)

    def write(self, text: str) -> None:
        """`text` is everything so far. A text that is decoded again, from the start, is waited for."""
        sure = text.rstrip(UNFINISHED)
        if not sure.startswith(self._shown):
            return
        new = sure[len(self._shown) :]
        self._shown = sure
        self._put(f"\n{self._indent}".join(printable(line) for line in new.split("\n")))

    def end(self, answer: Answer) -> None:
        """The whole answer is known: what was held back of it is printed as well."""
        if answer.text.startswith(self._shown):
            self._put(f"\n{self._indent}".join(map(printable, answer.text[len(self._shown) :].split("\n"))))
        self._put("\n" if answer.finished or not self._indent else f"\n{self._indent}(cut off)\n")

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
