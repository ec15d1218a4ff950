"""Print an answer in the terminal while it is written."""

from __future__ import annotations

from typing import TextIO

import typer

from swarmd.cli.answering import Answer
from swarmd.observe import printable

UNFINISHED = "\ufffd"  # stands for a character whose bytes are not complete yet


class LiveAnswer:
    """Prints what is new each time a text has grown. With a heading, the text is indented."""

    def __init__(self, out: TextIO, head: str | None = None) -> None:
        self._out = out
        self._indent = "" if head is None else "  "
        self._shown = ""
        if head is not None:
            typer.secho(head, bold=True, file=out)
        self._put(self._indent)

    def write(self, text: str) -> None:
        """`text` is everything so far. If an earlier part changed in decoding, wait until it is stable."""
        sure = text.rstrip(UNFINISHED)
        if not sure.startswith(self._shown):
            return
        new = sure[len(self._shown) :]
        self._shown = sure
        self._put(f"\n{self._indent}".join(printable(line) for line in new.split("\n")))

    def end(self, answer: Answer) -> None:
        """The answer is complete: print what was held back."""
        if answer.text.startswith(self._shown):
            self._put(f"\n{self._indent}".join(map(printable, answer.text[len(self._shown) :].split("\n"))))
        self._put("\n" if answer.finished or not self._indent else f"\n{self._indent}(cut off)\n")

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
