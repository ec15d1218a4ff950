"""`swarmd status` in the home of an observer: who is in the swarm, and how well they do as scored here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarmd.cli.peer_table import peer_table
from swarmd.cli.status_screen import health_line
from swarmd.names import named
from swarmd.observe import Ranked, StatusSnapshot, SwarmView, printable
from swarmd.observe.words import duration

RANKED_SHOWN = 10  # ranked peers: with the peers' table this fits on one screen
COUNTED_SHOWN = 4  # models or devices per line
MEGABYTE = 1e6


def observer_screen(
    status: StatusSnapshot, view: SwarmView, *, everything: bool = False, now: float | None = None
) -> RenderableType:
    """Render an observer's snapshot for people. `everything`: rank all peers. `now`: unix time."""
    here = [peer for peer in status.peers if not peer.gone]
    head = Text(named(status.peer_id), style="bold") + Text(
        printable(f" observes {status.swarm}, without training · up {duration(status.uptime_s)}"),
        style="not bold",
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _facts(view, len(here)):
        table.add_row(name, Text(printable(text)))
    parts: list[RenderableType] = [head, health_line(status)]
    if status.news is not None:
        parts.append(Text(printable(f"● {status.news}"), style="yellow"))
    parts += [Text(), table, Text()]
    if view.board:
        parts += [_board(view.board if everything else view.board[:RANKED_SHOWN]), Text()]
    parts.append(peer_table(status.peers if everything else here, now) if here else Text("No peer is here."))
    return Group(*parts)


def _facts(view: SwarmView, here: int) -> Iterable[tuple[str, str]]:
    yield "members", f"{here} here now, {view.connections} connected"
    yield "models", _counts(view.models)
    yield "devices", _counts(view.devices)
    yield "published", f"{view.groups_published_claimed} groups, as the members say"
    yield "scored", f"{view.groups_scored} of them here; {view.bytes_pulled / MEGABYTE:.1f} MB pulled"


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:COUNTED_SHOWN]]
    more = len(counts) - len(shown)
    return (", ".join(shown) + (f" and {more} more" if more else "")) or "none known yet"


def _board(board: Iterable[Ranked]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("peer", no_wrap=True, min_width=24)
    for name in ("success here", "95%", "groups", "claimed"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in board:
        interval = "–" if one.interval is None else f"{one.interval[0]:.2f} – {one.interval[1]:.2f}"
        claimed = "–" if one.claimed is None else f"{one.claimed:.3f}"
        cells = (named(one.peer_id), f"{one.success:.3f}", interval, str(one.groups), claimed)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
