"""Run a testnet from its first process to its summary: peers, then observer and attackers, then chaos.

It ends when every peer has done its steps, when the time is over, on a signal, or when a peer fails. Nothing
is left running, however it ends.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import RenderableType

from swarmd.errors import SwarmdError
from swarmd.fleet import Fleet, Member
from swarmd.testnet import attackers, processes, tables
from swarmd.testnet.asked import Asked
from swarmd.testnet.board import Board, Line
from swarmd.testnet.capacity import Capacity
from swarmd.testnet.chaos import Chaos
from swarmd.testnet.homes import HOST, Settler, settled
from swarmd.testnet.screen import Screen
from swarmd.testnet.summary import Summary, sum_up

BACK_S = 300.0
"""Seconds that peers hit by chaos have to recover once the time is over: 192 s were observed on two cores
with a load of 40, and a small parent waits at most 15 s before a start.
"""

SEEDS = 100
"""Difference between the seeds of two runs' attackers: more than there are attackers in one run."""

LOOK_S = 0.2
"""Seconds between two checks whether the time is over or all peers have recovered."""


@dataclass
class Outcome:
    """How a testnet ended."""

    summary: Summary
    code: int
    """Exit code: for an orderly end, forced or not."""
    failure: SwarmdError | None


@dataclass
class Run:
    """One run. Listens to its own fleet."""

    asked: Asked
    directory: Path
    settlers: Sequence[Settler]
    here: Capacity
    flags: processes.Flags
    screen: Screen
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _up_at: float | None = None
    _stopping: bool = False
    _lost: SwarmdError | None = None
    _all_up: asyncio.Event = field(default_factory=asyncio.Event)
    _others_began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the observer and attackers are up, which takes as long as for peers; at once if there are
    none.
    """

    def __post_init__(self) -> None:
        models = [self.asked.model_of(each.number) for each in self.settlers]
        self._board = Board(self.settlers, models)
        members = processes.peers(self.settlers, self.asked, self.here)
        self._members = {member.name: member for member in members}
        self._attacks: dict[str, str] = {}
        self._unheard: set[str] = set()
        """Observer and attackers that have not printed anything yet."""
        self._fleet = Fleet(members, self._command, HOST, self, stops_at_failure=True, together=True)
        self._chaos = Chaos(
            self._board,
            processes.Handling(self._fleet, self._members),
            random.Random(self.asked.seed),  # noqa: S311  the targets of chaos are not secret
            self._say_of_chaos,
            self.clock,
            steps=self.asked.steps,
        )

    async def run(self) -> Outcome:
        """Run it to its end. Raises StorageError if a home cannot be read afterwards."""
        code, failure = 0, None
        with self.screen.drawing():
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self.screen.draw(self._rows), name="screen"),
                    group.create_task(self._play(), name="play"),
                ]
                try:
                    code = await self._fleet.run()
                except SwarmdError as error:
                    failure = error
                finally:
                    for helper in helpers:
                        helper.cancel()
        for member in self._fleet.members:  # what a killed daemon could not remove
            shutil.rmtree(member.home.runtime_path, ignore_errors=True)
        summary = sum_up(
            list(self._board.rows.values()),
            self.settlers,
            settled(self.directory),
            faults=self._chaos.faults,
            attacks=self.asked.attacks,
            failed=self._fleet.failed,
            seconds=0.0 if self._up_at is None else self.clock() - self._up_at,
        )
        return Outcome(summary, code, failure or self._lost)

    # What happens when ----------------------------------------------------------------------------

    async def _play(self) -> None:
        """Once all peers are up: start the others and chaos, and wait until the time is over."""
        await self._all_up.wait()
        self._add_others()
        async with asyncio.TaskGroup() as group:
            if self.asked.chaos:
                group.create_task(self._chaos.run(), name="chaos")
            if self.asked.seconds is not None:
                await self._others_began.wait()
                await asyncio.sleep(self.asked.seconds)
                self._chaos.stopped = True
                await self._all_back()
                self._fleet.stop("the time is over: each peer finishes or drops its step")

    async def _all_back(self) -> None:
        """Wait, for a bounded time, until the peers that were hit have taken a step again."""
        until = self.clock() + BACK_S
        if self._chaos.missing:
            self.screen.line("", f"the time is over: waiting for {', '.join(self._chaos.missing)} to recover")
        while self._chaos.missing and not self._stopping:
            if self.clock() >= until:
                self._lost = SwarmdError(
                    f"{', '.join(self._chaos.missing)} did not recover within {BACK_S:.0f} s of the end: "
                    "run it again with --keep, and see `swarmd events` of that home"
                )
                return
            await asyncio.sleep(LOOK_S)

    def _add_others(self) -> None:
        if self.asked.http is not None:
            observer = processes.observer(self.directory, self.asked.http)
            self._unheard.add(observer.name)
            self._fleet.add(observer)
        for number, kind in enumerate(self.asked.attacks, 1):
            member = processes.attacker(self.directory, number, kind)
            self._attacks[member.name] = kind
            self._unheard.add(member.name)
            self._fleet.add(member)
        if not self._unheard:
            self._others_began.set()

    def _command(self, member: Member, way_in: Sequence[str]) -> Sequence[str]:  # noqa: ARG002  addresses are known
        row = self._board.rows.get(member.name)
        others = [each.address for each in self.settlers if row is None or each.number != row.number]
        if row is not None:
            # A peer that did its last step while it was being restarted does one more.
            left = None if self.asked.steps is None else max(1, self.asked.steps - row.steps)
            return processes.join_command(member, others, left, self.flags)
        kind = self._attacks.get(member.name)
        if kind is None:
            return processes.observe_command(member, others, self.flags)
        number = list(self._attacks).index(member.name)
        targets = [others[(number + turn) % len(others)] for turn in range(attackers.TARGETS)]
        manifest = self.settlers[0].home.manifest_path
        return attackers.command(kind, targets, manifest, self.asked.seed * SEEDS + number)

    def _rows(self) -> RenderableType:
        seconds = 0.0 if self._up_at is None else self.clock() - self._up_at
        hint = "stopping" if self._stopping else "Ctrl-C stops"
        return tables.running(list(self._board.rows.values()), seconds=seconds, hint=hint)

    def _say_of_chaos(self, label: str, what: str) -> None:
        self.screen.line(label, what, "warning")

    # As a listener --------------------------------------------------------------------------------

    def said(self, member: Member, line: str) -> None:
        found = self._board.heard(member.name, line, self.wall())
        if found is not None and not self._is_shown_in_rows(found):
            self.screen.line(found.label, found.text, found.level)
        if member.name in self._board.rows:
            self._chaos.heard(member.name)
        elif member.name in self._unheard:
            self._unheard.discard(member.name)
            if not self._unheard:
                self._others_began.set()

    def complained(self, member: Member, line: str) -> None:
        if line.strip():
            self.screen.line(member.name, line.strip(), "warning")

    def reachable(self, member: Member, *, first: bool) -> None:  # noqa: ARG002  all know all
        if member.name not in self._board.rows:
            return
        self._board.change(member.name, is_up=True)
        if self._board.all_up and self._up_at is None:
            self._up_at = self.clock()
            self.screen.line("", f"all {len(self.settlers)} peers are up")
            self._all_up.set()

    def failed(self, member: Member, why: str) -> None:
        if member.name in self._board.rows:
            self._board.change(member.name, over="failed")
        self.screen.line(member.name, f"failed: {why}", "error")

    def ended(self, member: Member) -> None:
        row = self._board.rows.get(member.name)
        if row is None:
            return
        if not row.over:
            done = self.asked.steps is not None and row.steps >= self.asked.steps
            self._board.change(member.name, over="done" if done else "stopped", trouble="")
        if self._board.all_over:
            self._stopping = True
            self._fleet.stop("all peers have ended")

    def told(self, text: str) -> None:
        self._stopping = self._chaos.stopped = True
        self.screen.line("", text)

    def _is_shown_in_rows(self, line: Line) -> bool:
        return self.screen.is_live and line.text.startswith("step ")
