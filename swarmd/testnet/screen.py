"""The output of a testnet: in a terminal, lines above rows that are redrawn; elsewhere, lines alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

FRAME_S = 0.5
"""Seconds per frame: a peer's step takes longer."""

STYLES = {"warning": "yellow", "error": "red"}


class Output(Console):
    """Goes quiet when its reader disappears. rich would end the program, and with it the peers."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Screen:
    """Goes quiet once its stream cannot be written: the peers continue without a reader."""

    def __init__(self, console: Output) -> None:
        self._console = console
        self._live: Live | None = None

    @property
    def is_live(self) -> bool:
        """Whether rows are drawn, so that what they show needs no lines."""
        return self._live is not None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw rows for the length of the block, if this is a terminal; they are removed at the end."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            try:
                yield
            finally:
                self._live = None

    async def draw(self, rows: Callable[[], RenderableType]) -> None:
        """Redraw until cancelled."""
        while True:
            if self._live is not None:
                self._show(lambda live=self._live: live.update(rows(), refresh=True))  # type: ignore[misc]
            await asyncio.sleep(FRAME_S)

    def line(self, label: str, text: str, level: str = "info") -> None:
        """Print one line about `label`, or about the whole run if it is empty. Text, not markup: peers choose
        some of it.
        """
        head = f"{label} | " if label else ""
        shown = Text(head + text, style=STYLES.get(level, "dim" if self.is_live and label else ""))
        self._show(lambda: self._console.print(shown, soft_wrap=True))

    def show(self, what: RenderableType) -> None:
        """Print it."""
        self._show(lambda: self._console.print(what))

    def _show(self, how: Callable[[], None]) -> None:
        try:
            how()
        except OSError:
            self._console.quiet = True
