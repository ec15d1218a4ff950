"""The rows of a running testnet, and the summary of one that has ended, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swarmd.observe import printable
from swarmd.observe.words import duration
from swarmd.testnet.board import HeldOut, Row
from swarmd.testnet.summary import AttackersSummary, PeerSummary, Summary

MODEL_CHARS = 18
HEALTH_CHARS = 40
MATRIX_PEERS_MAX = 16  # one column each; the JSON has all
NONE = "–"


def running(rows: Sequence[Row], *, seconds: float, hint: str) -> RenderableType:
    """The live view: one row per peer. `seconds`: since all were up."""
    table = _table()
    table.add_column("peer", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=MODEL_CHARS)
    for name in ("step", "reward", "held-out", "from others"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("health", no_wrap=True, overflow="ellipsis", max_width=HEALTH_CHARS)
    for row in rows:
        recent = row.state.rewards[-20:]
        cells = (
            row.label,
            _short(row.model),
            str(row.state.step),
            _number(sum(recent) / len(recent) if recent else None),
            NONE if row.held_out is None else f"{row.held_out.now:.3f}",
            str(row.state.external),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells), Text(row.health, style=_style(row)))
    return Group(table, Text(f"{duration(seconds)} · {hint}", style="dim"))


def summed_up(summary: Summary) -> RenderableType:
    """The results of a testnet."""
    peers = summary.peers
    parts: list[RenderableType] = [_peers(peers), Text(), _learning(peers), Text()]
    if len(peers) <= MATRIX_PEERS_MAX:
        parts.append(_matrix(peers))
    if not any(peer.learned_from for peer in peers):
        parts.append(Text("no peer trained on external groups: they arrive after 10 to 30 s; run it longer"))
    if summary.faults:
        parts += [Text(), *_faults(summary)]
    if summary.attackers is not None:
        parts += [Text(), *_attackers(summary.attackers)]
    return Group(*parts)


def _peers(peers: Sequence[PeerSummary]) -> Table:
    table = _table()
    table.add_column("peer", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=MODEL_CHARS)
    for name in ("steps", "groups from others", "starts"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("end", no_wrap=True)
    for peer in peers:
        others = str(sum(peer.learned_from.values()))
        cells = (_named(peer), _short(peer.model), str(peer.steps), others, str(peer.starts), peer.end)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _learning(peers: Sequence[PeerSummary]) -> Table:
    """Reward and held-out success: at the start, now, and the 95% interval of now."""
    table = _table()
    table.add_column("peer", no_wrap=True)
    for name in ("reward", "95%", "held-out", "95%"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for peer in peers:
        reward, held_out = peer.reward, peer.held_out
        score = (NONE, NONE, "") if held_out is None else _success(held_out)
        cells = (_named(peer), _change(reward.start, reward.now), _interval(reward.interval), *score)
        table.add_row(*map(Text, cells))
    return table


def _matrix(peers: Sequence[PeerSummary]) -> RenderableType:
    """Who learned from whom."""
    table = _table()
    table.add_column("learned from:", no_wrap=True)
    for peer in peers:
        table.add_column(str(peer.number), justify="right", no_wrap=True)
    for peer in peers:
        taught = {label.partition(" ")[0]: groups for label, groups in peer.learned_from.items()}
        cells = [
            "·" if other.number == peer.number else str(taught.get(str(other.number), 0)) for other in peers
        ]
        table.add_row(Text(_named(peer)), *map(Text, cells))
    return table


def _faults(summary: Summary) -> list[RenderableType]:
    table = _table()
    table.add_column("fault", no_wrap=True)
    for name in ("happened", "came back", "longest until the next step"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind in dict.fromkeys(fault.kind for fault in summary.faults):
        found = [fault for fault in summary.faults if fault.kind == kind]
        back = [fault.back_after_s for fault in found if fault.back_after_s is not None]
        longest = f"{max(back):.0f} s" if back else NONE
        table.add_row(kind, str(len(found)), str(len(back)), longest)
    missing = [fault for fault in summary.faults if fault.back_after_s is None]
    lost = [Text(f"not back: {fault.label}, {fault.kind}", style="red") for fault in missing]
    return [table, *lost]


def _attackers(found: AttackersSummary) -> list[RenderableType]:
    share = "" if found.drawn_share is None else f", {found.drawn_share:.1%} of all from others"
    refused = ", ".join(f"{reason} {count}" for reason, count in found.refused.items()) or "none"
    return [
        Text(f"attackers: {', '.join(found.kinds)}"),
        Text(printable(f"  {found.identities} identities had groups examined; refused: {refused}")),
        Text(f"  verified and kept: {found.pulled}; trained on: {found.drawn}{share}"),
    ]


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _short(model: str) -> str:
    """The last part of a path or a hub id."""
    return model.rstrip("/").rpartition("/")[2]


def _named(peer: PeerSummary) -> str:
    return f"{peer.number} {peer.name}"


def _success(held_out: HeldOut) -> tuple[str, str, str]:
    change = _change(held_out.start, held_out.now)
    return change, _interval(held_out.interval), held_out.trend or ""


def _change(start: float | None, now: float | None) -> str:
    """Like 0.310 > 0.402."""
    if now is None:
        return NONE
    return f"{now:.3f}" if start is None else f"{start:.3f} > {now:.3f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return NONE if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _style(row: Row) -> str:
    if row.over:
        return "red" if row.over == "failed" else "dim"
    if row.trouble or row.state.health:
        return "yellow"
    return "green" if row.health == "healthy" else "dim"
