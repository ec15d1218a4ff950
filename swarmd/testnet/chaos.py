"""What happens to a testnet's peers with `--chaos`: which are hit, how and when, and whether they recovered.

One fault at a time, chosen at random with a seed. A peer is hit again only once it has taken a step since the
last fault, and no peer is hit while half of them are down: the rest would no longer be a swarm.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from swarmd.testnet.board import Board

Kind = Literal["killed", "frozen", "restarted"]
KINDS: tuple[Kind, ...] = ("killed", "frozen", "restarted")

WAIT_S = (2.0, 8.0)
"""Seconds between two faults: long enough to observe one, short enough for several in a minute."""

FROZEN_S = 6.0
"""Seconds. Longer than a peer waits for an answer (5 s), so that the others notice."""

KILLS_MAX = 3
"""Most kills of one peer between two orderly restarts: its small parent waits longer each time, 15 s after
the third.
"""

STEPS_LEFT_MIN = 2
"""A peer with fewer steps left is not hit: it could end before the fault is over."""

LOOK_S = 0.5
"""Seconds between two checks for a peer that can be hit."""


class Hands(Protocol):
    """Acts on the processes, by the peer's label. Each method returns whether there was a process to
    act on.
    """

    def kill(self, label: str) -> bool: ...
    def freeze(self, label: str) -> bool: ...
    def thaw(self, label: str) -> bool: ...
    def restart(self, label: str) -> bool: ...


@dataclass
class Fault:
    """One that happened."""

    label: str
    kind: Kind
    at_s: float
    """Seconds since the chaos began."""
    life: int
    """Which process of the peer it hit, counting restarts."""
    steps_here: int
    """Steps that the peer had reported in this run; one that was undone and repeated counts twice."""
    back_after_s: float | None = None
    """Seconds until its next step; None: it has not taken one yet."""


@dataclass
class Chaos:
    """Hits peers until it is stopped or all have ended."""

    board: Board
    hands: Hands
    rng: random.Random
    say: Callable[[str, str], None]
    """(label, what happens to it)"""
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    steps: int | None = None
    """Steps after which each peer ends, in this run."""
    stopped: bool = False
    """Set to end it: no further peer is hit."""
    faults: list[Fault] = field(default_factory=list)
    _kills: Counter[str] = field(default_factory=Counter)
    _began: float = 0.0

    async def run(self) -> None:
        self._began = self.clock()
        await self.sleep(self.rng.uniform(*WAIT_S))
        while not (self.stopped or self.board.all_over):
            if within_reach := self._within_reach():
                await self._hit(self.rng.choice(within_reach))
                await self.sleep(self.rng.uniform(*WAIT_S))
            else:
                await self.sleep(LOOK_S)

    def heard(self, label: str) -> None:
        """Note whether `label`, which has just printed something, has recovered."""
        row = self.board.rows[label]
        for fault in self.faults:
            if fault.label == label and fault.back_after_s is None and self._has_stepped(fault):
                fault.back_after_s = self.clock() - self._began - fault.at_s
                self.board.change(label, trouble="")
                self.say(label, f"back after {fault.back_after_s:.0f} s, at step {row.state.step}")

    @property
    def missing(self) -> list[str]:
        """Peers that have not recovered yet."""
        return [fault.label for fault in self.faults if fault.back_after_s is None]

    def _has_stepped(self, fault: Fault) -> bool:
        """Whether the peer has stepped since the fault was over. A peer that is asked to stop may finish its
        step first.
        """
        row = self.board.rows[fault.label]
        if fault.kind == "frozen":
            is_over = self.clock() - self._began >= fault.at_s + FROZEN_S
        else:
            is_over = row.lives > fault.life
        return is_over and row.state.steps_here > fault.steps_here

    def _within_reach(self) -> list[str]:
        """Return running peers with steps left; none while half of all peers are down."""
        if len(self.missing) * 2 >= len(self.board.rows):
            return []
        return [
            row.label
            for row in self.board.rows.values()
            if row.is_up
            and not row.over
            and row.steps > 0
            and row.label not in self.missing
            and (self.steps is None or self.steps - row.steps >= STEPS_LEFT_MIN)
        ]

    async def _hit(self, label: str) -> None:
        kind = self.rng.choice(KINDS)
        if kind == "killed" and self._kills[label] >= KILLS_MAX:
            kind = "restarted"
        doing = {"killed": self.hands.kill, "frozen": self.hands.freeze, "restarted": self.hands.restart}
        row = self.board.rows[label]
        if not doing[kind](label):
            return
        self._kills[label] = 0 if kind == "restarted" else self._kills[label] + (kind == "killed")
        self.faults.append(Fault(label, kind, self.clock() - self._began, row.lives, row.state.steps_here))
        self.board.change(label, trouble=kind)
        self.say(label, f"{kind} for {FROZEN_S:g} s" if kind == "frozen" else kind)
        if kind == "frozen":
            try:
                await self.sleep(FROZEN_S)
            finally:
                self.hands.thaw(label)
