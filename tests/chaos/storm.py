"""Minutes of chaos over some machines: what happens when, what is begun again, what is measured."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from swarmd.parent.lives import DISK_FULL_WAIT_S
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.peers import Machine, rates_of
from tests.chaos.wires import Wires

MINUTE_S = 60.0
CUT_AT_S, HEAL_AT_S = 5.0, 25.0
KILLED_SHARE = 1 / 3
"""Of all machines, each minute; every second one comes back as another peer."""

SILENCE_S = 15.0
"""Longer than any silence after a heal should be."""

WITNESSES = 2
"""Machines of each side to which nothing but the cut happens, from `SILENCE_S` after the last heal until that
long after its own: what they do not hear is the cut's doing."""

EXCHANGED_S = 30.0
"""A witness has had a group of others no longer ago than this."""

RECOVER_S = 150.0 + DISK_FULL_WAIT_S
"""For the next step after a fault; a start takes half a minute where twelve daemons share two cores, and a
parent waits that long for space. It only tells a hang from a delay."""

LOOK_EVERY_S = 0.5
COUNT_EVERY_S = 10.0
SETTLED_S = 30.0
"""After its first step, a daemon has opened what it keeps open."""

NEIGHBOURS = 3
"""Peers that a daemon is told of at its start."""

LATER_S = 2.0
"""Until a fault that found no machine is tried again."""

KILLED_STARTING = 1 / 4
"""Of the kills at random moments: these may hit a start."""

KILLED_WITHIN_S = 15.0
"""Of the start, or of the first look at which it trains."""

FEW = 6
"""Of fewer machines, one that is down is half of a side: then nothing else happens round a cut, and nobody is
left alone before it."""

ORDERLY_S = 30.0
"""For a daemon whose disk was full to end in order."""

RESTARTS_MAX = 5
"""Of a daemon that ends by itself; then it is left lying."""


@dataclass(frozen=True)
class Cut:
    """One partition that was healed."""

    sides: tuple[tuple[int, ...], tuple[int, ...]]
    """Numbers of the machines."""
    began: float
    """Unix time."""
    began_at: float
    healed_at: float
    until: float
    """Of the monotonic clock, as when events were seen: the cut, the heal, and the next cut or the end."""
    witnesses: frozenset[int]


@dataclass
class _Pending:
    """A machine that has to take a step by then."""

    machine: Machine
    fault: str
    life: int
    steps: int
    by: float


@dataclass
class Storm:
    """Runs on one thread; `run` returns when the time is over, and all machines are still up."""

    machines: Sequence[Machine]
    wires: Wires | None
    options: Sequence[str]
    rng: random.Random
    say: Callable[[str], None]
    happened: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    descriptors: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)
    """Of each (machine, pid): moments and how many are open."""
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _busy: set[int] = field(default_factory=set)
    _ended: Counter[int] = field(default_factory=Counter)
    _may_end: dict[int, float] = field(default_factory=dict)
    _pending: list[_Pending] = field(default_factory=list)
    _cut_now: tuple[tuple[tuple[int, ...], tuple[int, ...]], float, float] | None = None
    _sides: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Of the cut in progress, or else of the next one."""
    _witnesses: frozenset[int] = frozenset()
    """Of that cut. Before it: those that are left alone so that they may be."""
    _calm_until: float = 0.0
    _end: float = 0.0

    # The beginning --------------------------------------------------------------------------------

    def start_all(self, within_s: float) -> None:
        """The first one alone, so that what is measured at a first start is measured once."""
        for machine in self.machines:
            machine.prepare()
            self._begin_as_new(machine)
            if machine is self.machines[0]:
                machine.life.daemon.wait_for_step(1, within_s)
        for machine in self.machines:
            machine.life.daemon.wait_for_step(1, within_s)
            self.say(f"machine {machine.number} is up")

    def _begin_as_new(self, machine: Machine) -> None:
        machine.new_home(rates_of(self.machines))
        self._begin(machine)

    def _begin(self, machine: Machine) -> None:
        up = [other for other in self.machines if other is not machine and other.lives]
        machine.start(self.rng.sample(up, min(NEIGHBOURS, len(up))), self.options)

    # The time -------------------------------------------------------------------------------------

    def run(self, minutes: float) -> None:
        began = time.monotonic()
        end = self._end = began + minutes * MINUTE_S
        minute = 0
        self._draw_sides()
        while began + minute * MINUTE_S < end:
            self._plan(began + minute * MINUTE_S)
            minute += 1
        counted = 0.0
        while (now := time.monotonic()) < end or self._agenda or self._pending:
            while self._agenda and self._agenda[0][0] <= now:
                heapq.heappop(self._agenda)[2]()
            self._look(now)
            if now - counted >= COUNT_EVERY_S:
                self._count(now)
                counted = now
            time.sleep(LOOK_EVERY_S)

    def kill_at_random(self, kills: int) -> None:
        """Nothing but power cuts: each machine runs some while, and comes back as the same peer."""
        for machine in self.machines:
            self._kill_after_a_while(machine)
        while self.happened.total() < kills or self._pending:
            now = time.monotonic()
            while self._agenda and self._agenda[0][0] <= now and self.happened.total() < kills:
                heapq.heappop(self._agenda)[2]()
            self._look(now)
            time.sleep(LOOK_EVERY_S / 5)

    def _kill_after_a_while(self, machine: Machine) -> None:
        """One in four at any moment, starts included; the others once it trains."""
        may_start = self.rng.random() < KILLED_STARTING
        wait_s = self.rng.uniform(0.0, KILLED_WITHIN_S)

        def kill() -> None:
            if not (may_start or machine.life.daemon.named("step")):
                self._at(time.monotonic() + wait_s, kill)
                return
            self._hit("power cut", machine)
            machine.kill()
            self._begin(machine)
            self._expect(machine, "power cut")
            self._kill_after_a_while(machine)

        self._at(time.monotonic() + wait_s, kill)

    def _plan(self, start: float) -> None:
        """One minute: a cut through the middle, a third killed, one of each other fault."""
        if self.wires is not None:
            self._at(start + CUT_AT_S, self._cut)
            self._at(start + HEAL_AT_S, self._heal)
        for number in range(max(1, round(len(self.machines) * KILLED_SHARE))):
            moment = start + self.rng.uniform(0.0, MINUTE_S)
            self._at(moment, lambda new=number % 2 == 1: self._kill_one(new))
        for fault in FAULTS:
            if (fault.needs == "wires" and not self.wires) or (
                fault.needs == "disk" and not self.machines[0].has_disk
            ):
                continue
            moment = start + self.rng.uniform(0.0, MINUTE_S - fault.seconds)
            self._at(moment, lambda fault=fault: self._begin_fault(fault))

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._order), action))

    def _later(self, action: Callable[[], None]) -> None:
        """Once somebody is free, unless the time is over by then."""
        if (moment := time.monotonic() + LATER_S) < self._end:
            self._at(moment, action)

    # Faults ---------------------------------------------------------------------------------------

    def _choose(self) -> Machine | None:
        """A machine that is under way and to which nothing happens; none while all are left alone."""
        if time.monotonic() < self._calm_until:
            return None
        free = [machine for machine in self._free() if machine.number not in self._witnesses]
        return self.rng.choice(free) if free else None

    def _free(self) -> list[Machine]:
        waiting = {pending.machine.number for pending in self._pending}
        return [
            machine
            for machine in self.machines
            if machine.number not in self._busy | waiting and not machine.life.is_over
        ]

    def _hit(self, name: str, machine: Machine) -> None:
        self.happened[name] += 1
        self.say(f"machine {machine.number}: {name}")

    def _kill_one(self, new: bool) -> None:
        machine = self._choose()
        if machine is None:
            self._later(lambda: self._kill_one(new))
            return
        name = "killed and replaced" if new else "power cut"
        self._hit(name, machine)
        machine.kill()
        if new:
            self._begin_as_new(machine)
        else:
            self._begin(machine)
        self._expect(machine, name)

    def _begin_fault(self, fault: Fault) -> None:
        machine = self._choose()
        if machine is None or not fault.begin(machine):
            self._later(lambda: self._begin_fault(fault))
            return
        self._hit(fault.name, machine)
        self._busy.add(machine.number)
        self._at(time.monotonic() + fault.seconds, lambda: self._end_fault(fault, machine))

    def _end_fault(self, fault: Fault, machine: Machine) -> None:
        fault.end(machine)
        self._busy.discard(machine.number)
        if fault.may_end_daemon:
            machine.life.ended_by_us = True
            if fault.name == "disk read-only":  # nothing goes on there until it is repaired
                code = machine.stop()
                machine.repair_disk()
                self.say(f"machine {machine.number}: ended with exit code {code}")
            if machine.life.is_over:
                self._begin(machine)
            machine.life.ended_by_us = False
            self._may_end[machine.number] = time.monotonic() + ORDERLY_S
        self._expect(machine, fault.name)

    def _expect(self, machine: Machine, fault: str) -> None:
        """A step by then; where something happened to it before it took one, by then as well."""
        by = time.monotonic() + RECOVER_S
        for pending in self._pending:
            if pending.machine is machine:
                pending.by = by
        steps = len(machine.life.daemon.named("step"))
        self._pending.append(_Pending(machine, fault, len(machine.lives), steps, by))

    def _look(self, now: float) -> None:
        """Who has taken a step again, who has not, and who has ended without being asked."""
        for pending in list(self._pending):
            steps = len(pending.machine.life.daemon.named("step"))
            if steps > (pending.steps if len(pending.machine.lives) == pending.life else 0):
                self.survived[pending.fault] += 1
                self._pending.remove(pending)
            elif now > pending.by:
                self._complain(pending.machine, f"no step {RECOVER_S:.0f} s after: {pending.fault}")
                self._pending.remove(pending)
        for machine in self.machines:
            life = machine.life
            if life.is_over and not life.ended_by_us and machine.number not in self._busy:
                if now > self._may_end.get(machine.number, 0.0):
                    self._complain(machine, f"ended with exit code {life.daemon.process.returncode}")
                    self._ended[machine.number] += 1
                if self._ended[machine.number] <= RESTARTS_MAX:
                    self._begin(machine)
                else:
                    self._busy.add(machine.number)

    def _complain(self, machine: Machine, what: str) -> None:
        words = machine.life.daemon.stderr.strip().splitlines()[-1:]
        self.trouble.append(f"machine {machine.number}: {what} {' '.join(words)[:300]}".strip())
        self.say(f"! {self.trouble[-1]}")

    # Cuts -----------------------------------------------------------------------------------------

    def _cut(self) -> None:
        assert self.wires is not None
        sides = self._sides
        self.wires.cut(*sides)
        now = time.monotonic()
        self._cut_now = sides, time.time(), now
        exchanging = self._exchanging(now)
        deaf = self._witnesses - exchanging
        self._witnesses = frozenset(
            number
            for side in sides
            for number in self._some_of(side, exchanging & self._witnesses) or self._some_of(side, exchanging)
        )
        if len(self.machines) < FEW:
            self._calm_until = now + HEAL_AT_S - CUT_AT_S + SILENCE_S
        told = f"cut: {sides[0]} from {sides[1]}, witnesses {sorted(self._witnesses)}"
        self.say(f"{told}; {sorted(deaf)} had no group of others for {EXCHANGED_S:.0f} s" if deaf else told)

    def _heal(self) -> None:
        assert self.wires is not None
        assert self._cut_now is not None
        self.wires.heal()
        now = time.monotonic()
        until = now + MINUTE_S - HEAL_AT_S + CUT_AT_S
        self.cuts.append(Cut(*self._cut_now, now, until, self._witnesses))
        self._at(now + SILENCE_S, self._draw_sides)
        self.say("healed")

    def _draw_sides(self) -> None:
        """Of the next cut. Some of each side are left alone from now on."""
        mixed = [machine.number for machine in self.rng.sample(list(self.machines), len(self.machines))]
        half = len(mixed) // 2
        self._sides = tuple(sorted(mixed[:half])), tuple(sorted(mixed[half:]))
        spared = self._free() if len(self.machines) >= FEW else []
        free = {machine.number for machine in spared}
        self._witnesses = frozenset(number for side in self._sides for number in self._some_of(side, free))

    def _some_of(self, side: Sequence[int], fit: Collection[int]) -> list[int]:
        fitting = [number for number in side if number in fit]
        return self.rng.sample(fitting, min(WITNESSES, len(fitting)))

    def _exchanging(self, now: float) -> frozenset[int]:
        """Those that are under way, to which nothing happens, and that exchange groups."""
        return frozenset(
            machine.number
            for machine in self._free()
            if any(now - event["seen"] < EXCHANGED_S for event in machine.life.daemon.named("pulled"))
        )

    # Descriptors ----------------------------------------------------------------------------------

    def _count(self, now: float) -> None:
        for machine in self.machines:
            for process in machine.life.tree():
                with suppress(psutil.Error):
                    count = process.num_fds()
                    self.descriptors.setdefault((machine.number, process.pid), []).append((now, count))
