"""What is known of each peer while the testnet runs: takes lines of the daemons, returns rows. Draws
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from swarmd.observe import LiveState, printable
from swarmd.observe.live_state import describe
from swarmd.testnet.homes import Settler

QUIET = frozenset(
    {"phase", "pulled", "published", "peer_seen", "health", "checkpoint", "downloading", "join_command"}
    | {"loading", "plan"}
)
"""Events that update the board but are not worth a line, because the rows already show them."""


@dataclass(frozen=True)
class HeldOut:
    """Success on held-out questions, as a peer measured it: 0..1."""

    start: float | None
    """Before its first step."""
    now: float
    interval: tuple[float, float]
    """95% interval of `now`."""
    step: int
    trend: str | None = None
    """learned, not yet clear or worse: see `observe.Trend`."""


@dataclass(frozen=True)
class Row:
    """One peer."""

    number: int
    label: str
    peer_id: str
    model: str
    state: LiveState = field(default_factory=LiveState)
    first_step: int | None = None
    """The step before the first one of this run; None until then."""
    held_out: HeldOut | None = None
    trouble: str = ""
    """What chaos is doing to it."""
    is_up: bool = False
    over: str = ""
    """How it ended: done, stopped or failed."""
    lives: int = 0

    @property
    def steps(self) -> int:
        """Steps done in this run; a step that a kill undid is not counted twice."""
        return 0 if self.first_step is None else self.state.step - self.first_step

    @property
    def health(self) -> str:
        """Health in a few words; the first reason if something is wrong."""
        if self.over or self.trouble:
            return self.over or self.trouble
        if self.state.health is None or not self.is_up:
            return self.state.phase
        return printable(self.state.health[0]) if self.state.health else "healthy"


@dataclass(frozen=True)
class Line:
    """Something worth a line of text."""

    label: str
    text: str
    level: str = "info"


class Board:
    """The rows of all peers, by label."""

    def __init__(self, settlers: Sequence[Settler], models: Sequence[str]) -> None:
        self.rows: dict[str, Row] = {
            each.label: Row(each.number, each.label, each.peer_id, model)
            for each, model in zip(settlers, models, strict=True)
        }

    def heard(self, label: str, text: str, at: float) -> Line | None:
        """Process what `label` printed at `at`, wall-clock seconds. Returns it as a line if it is notable."""
        event = _event(text)
        if event is None:
            return Line(label, printable(text.rstrip("\r\n")))
        name, level = str(event.pop("event")), str(event.pop("level", "info"))
        event.pop("ts", None)
        if label in self.rows:
            self.rows[label] = _after(self.rows[label], name, event, at)
        return None if name in QUIET or level == "debug" else Line(label, describe(name, event), level)

    def change(self, label: str, **changes: Any) -> None:
        """Set fields of a row."""
        self.rows[label] = replace(self.rows[label], **changes)

    @property
    def all_up(self) -> bool:
        """Whether every peer has been reachable."""
        return all(row.is_up for row in self.rows.values())

    @property
    def all_over(self) -> bool:
        """Whether every peer has ended."""
        return all(row.over for row in self.rows.values())


def _event(text: str) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None


def _after(row: Row, name: str, fields: Mapping[str, Any], at: float) -> Row:
    state = row.state.after(name, fields, at)
    if name == "started":
        # A new process: it is starting again, whatever the previous one said about its health.
        return replace(row, state=replace(state, health=None), lives=row.lives + 1)
    if name == "step" and row.first_step is None:
        return replace(row, state=state, first_step=state.step - 1)
    if name == "evaluated":
        return replace(row, state=state, held_out=_held_out(row.held_out, fields))
    return replace(row, state=state)


def _held_out(before: HeldOut | None, fields: Mapping[str, Any]) -> HeldOut:
    low, high = fields["interval"]
    start = fields.get("untrained")
    if start is None and before is not None:
        start = before.start
    return HeldOut(start, fields["success"], (low, high), fields["step"], fields.get("trend"))
