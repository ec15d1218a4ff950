"""The table of the other peers, as `swarmd status` and `swarmd peers` show it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarmd.names import named
from swarmd.observe import PeerView, printable

SHOWN = 32  # the best known: a flood of names must not scroll them away
MODEL_CHARS = 14  # keeps the table within 80 columns


def peer_table(peers: Sequence[PeerView], now: float | None = None, shown: int = SHOWN) -> RenderableType:
    """Return one line per peer, 80 columns wide. `now`: unix time; None means the present."""
    now = time.time() if now is None else now
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("peer", no_wrap=True, min_width=24)
    table.add_column("standing", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("to me", justify="right", no_wrap=True)
    table.add_column("from me", justify="right", no_wrap=True)
    table.add_column("seen", justify="right", no_wrap=True)
    for peer in peers[:shown]:
        cells = (
            named(peer.peer_id),
            _standing(peer),
            "–" if peer.step is None else str(peer.step),
            _cut(printable(peer.model or "–")),
            str(peer.groups_pulled),
            str(peer.pulls),
            seen(peer, now),
        )
        table.add_row(*map(Text, map(printable, cells)), style="dim" if peer.gone else "")
    if len(peers) > shown:
        more = f"and {len(peers) - shown} more: `swarmd peers --json` lists all"
        return Group(table, Text(more, style="dim"))
    return table


def _standing(peer: PeerView) -> str:
    if peer.gone:
        return "gone"
    return "on trial" if peer.on_trial else peer.standing


def seen(peer: PeerView, now: float) -> str:
    """Return when there was last a sign of the peer, such as now, 42 s or 3 h."""
    if peer.connected:
        return "now"
    if peer.last_seen is None:
        return "–"
    return short_age(now - peer.last_seen)


def short_age(seconds: float) -> str:
    """Format a duration, such as 42 s, 3 min, 5 h or 9 d."""
    ago = max(0.0, seconds)
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if ago >= seconds:
            return f"{ago // seconds:.0f} {unit}"
    return f"{ago:.0f} s"


def _cut(text: str) -> str:
    """Return the name without its owner or directory, cut to its column."""
    name = text.rpartition("/")[2] or text
    return name if len(name) <= MODEL_CHARS else f"{name[: MODEL_CHARS - 1]}…"


def counted_peers(count: int) -> str:
    """Return "1 peer" or "3 peers"."""
    return f"{count} peer" if count == 1 else f"{count} peers"
