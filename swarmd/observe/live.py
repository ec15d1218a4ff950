"""The live view of `swarmd join` in a terminal: `render` draws a state, `LiveView` redraws it in place.

Notable events are printed above the view, so that the join command and warnings stay in the scroll-back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from swarmd.names import name_of, named
from swarmd.observe.events import Event, EventLog
from swarmd.observe.live_state import LiveState, describe
from swarmd.observe.text import printable
from swarmd.observe.words import duration, held_out, sparkline

FRAME_S = 0.25  # four frames per second: fast enough to look alive, too slow to cost anything
BAR_WIDTH = 24
QUIET = frozenset(
    {"phase", "step", "pulled", "published", "peer_seen", "health", "checkpoint", "downloading"}
)
NAMES_SHOWN = 4  # names of other peers: one row


def render(state: LiveState, now: float) -> RenderableType:
    """Return the whole view. `now` is wall-clock seconds, as in the events."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column(overflow="fold")
    for name, value in (
        ("health", _health(state)),
        ("swarm", Text(f"{state.swarm or '–'} · round {'–' if state.round is None else state.round}")),
        ("model", Text(" · ".join(part for part in (state.model, state.device, state.dtype) if part) or "–")),
        ("step", Text(f"{state.step} · {state.steps_here} since this start")),
        ("phase", _phase(state, now)),
        ("reward", _reward(state.rewards)),
        ("held-out", Text(held_out(state.held_out, state.held_out_step))),
        ("groups", Text(f"{state.own} own · {state.external} external used since this start")),
        ("peers", _peers(state.peers)),
        ("speed", Text("–" if state.tokens_per_s is None else f"{state.tokens_per_s:,.0f} tokens/s")),
        ("last", _last(state, now)),
    ):
        facts.add_row(name, value)
    up = "" if state.started_at is None else f"up {duration(now - state.started_at)}"
    title = f"swarmd {named(state.peer_id)}" if state.peer_id else "swarmd"
    panel = Panel(facts, title=Text(title), subtitle=Text(up), title_align="left")
    return Group(panel, *_below(state))


def _below(state: LiveState) -> Iterator[Text]:
    """Yield what is shown below the panel. The last line is short: a terminal writes ^C after it, which in a
    full line would push the panel's border out of reach.
    """
    if state.join_command:
        # Outside the border, so that it can be copied in one piece.
        yield Text(f"others join with: {printable(state.join_command)}", overflow="fold")
    if state.phase == "stopped":
        yield Text("stopped", style="dim")
    elif state.stopping:
        yield Text("stopping · Ctrl-C again ends at once", style="dim")
    else:
        yield Text("Ctrl-C stops", style="dim")


class LiveView:
    """Draws an event log's state until cancelled; the last frame stays on the screen."""

    def __init__(self, log: EventLog, console: Console | None = None) -> None:
        self._log = log
        self._console = console or Console()
        self._printed = 0

    async def run(self) -> None:
        """Redraw every quarter of a second. Ends if the terminal is gone; training continues without it."""
        try:
            with Live(console=self._console, auto_refresh=False, transient=False) as live:
                try:
                    while True:
                        self.draw(live)
                        await asyncio.sleep(FRAME_S)
                finally:
                    self.draw(live)
        except OSError as error:
            self._console.quiet = True
            self._log.emit("warning", message=f"the terminal cannot be written ({error.strerror}): no view")

    def draw(self, live: Live) -> None:
        """Draw one frame, below the notable events since the previous one."""
        for event in self._log.since(self._printed):
            self._printed = event.number
            if event.name not in QUIET and self._log.wanted(event):
                live.console.print(_line(event), soft_wrap=True)  # keeps the command copyable
        live.update(render(self._log.state, self._log.now()), refresh=True)


def _health(state: LiveState) -> Text:
    if state.health is None:
        return Text("starting", style="dim")
    if not state.health:
        return Text("healthy", style="green")
    return Text("\n".join(map(printable, state.health)), style="red")


def _peers(peers: frozenset[str]) -> Text:
    names = sorted(name_of(peer) for peer in peers)[:NAMES_SHOWN]
    more = "" if len(peers) <= NAMES_SHOWN else " …"
    return Text(f"{len(peers)} seen since this start: {', '.join(names)}{more}" if names else "none yet")


def _phase(state: LiveState, now: float) -> RenderableType:
    if state.stopping:
        since = "" if state.stopping_at is None else f" for {duration(now - state.stopping_at)}"
        doing = "" if state.phase == "stopping" else f", now: {state.phase}"
        return Text(f"stopping{since}{doing}\n{printable(state.stopping)}", style="yellow")
    if state.phase_total <= 0:
        return Text(state.phase)
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=state.phase_total, completed=state.phase_done, width=BAR_WIDTH)
    row.add_row(Text(state.phase), bar, Text(f"{state.phase_done}/{state.phase_total}", style="dim"))
    return row


def _reward(rewards: Sequence[float]) -> RenderableType:
    if not rewards:
        return Text("–")
    recent = rewards[-20:]
    words = Text(f"last {rewards[-1]:.3f} · mean of {len(recent)} {sum(recent) / len(recent):.3f}")
    return Group(words, Text(sparkline(rewards), style="green"))


def _last(state: LiveState, now: float) -> Text:
    if state.last_event_at is None:
        return Text("–")
    ago = duration(now - state.last_event_at)
    return Text(f"{ago} ago: {state.last_event}", overflow="ellipsis", no_wrap=True)


def _line(event: Event) -> Text:
    """Return text, not markup: the fields can contain what peers wrote."""
    style = {"warning": "yellow", "error": "red"}.get(event.level, "dim")
    return Text(describe(event.name, event.fields), style=style)
