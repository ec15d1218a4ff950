"""Peers of a testnet that is made up: settlers, boards, and what their daemons would print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from swarmd.testnet.board import Board
from swarmd.testnet.homes import Settler, settle

NOW = 1_800_000_000.0


def event(name: str, level: str = "info", /, **fields: object) -> str:
    """A line as a daemon prints it."""
    return json.dumps({"ts": "2027-01-15T08:00:00.000Z", "event": name, "level": level, **fields})


def board_of(settlers: Sequence[Settler], model: str = "embedded") -> Board:
    return Board(settlers, [model] * len(settlers))


def made(directory: Path, count: int) -> tuple[list[Settler], Board]:
    settlers = settle(directory, count)
    return settlers, board_of(settlers)


def stepped(board: Board, label: str, step: int, **fields: object) -> None:
    """`label` has told of a step."""
    board.heard(label, event("step", step=step, round=1, reward=0.5, own=4, external=0, **fields), NOW)


def under_way(board: Board, label: str) -> None:
    """`label` is up and has taken its first step."""
    board.heard(label, event("started"), NOW)
    board.change(label, is_up=True)
    stepped(board, label, 1)
