"""What can happen to one machine, for a while or for good. Each is begun, and ended where it has an end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from tests.chaos.peers import Machine

Processes = Callable[[Machine], Sequence[psutil.Process]]


@dataclass(frozen=True)
class Fault:
    """One kind. `begin` returns whether there was anything for it to hit."""

    name: str
    begin: Callable[[Machine], bool]
    end: Callable[[Machine], None] = lambda _: None
    seconds: float = 0.0
    needs: str = ""
    """"wires" or "disk": what the machine must have of its own."""
    may_end_daemon: bool = False
    """Whether a daemon may answer by ending in order; it is then started again, as its owner would."""


def _trainer(machine: Machine) -> Sequence[psutil.Process]:
    pid = machine.life.pid()
    return [] if pid is None else [psutil.Process(pid)]


def _workers(machine: Machine) -> Sequence[psutil.Process]:
    return machine.life.children("swarmd.tasks.worker")


def _p2pd(machine: Machine) -> Sequence[psutil.Process]:
    return machine.life.children("p2pd")


def _all(machine: Machine) -> Sequence[psutil.Process]:
    return machine.life.tree()


def _signalling(which: Processes, number: signal.Signals) -> Callable[[Machine], bool]:
    return lambda machine: machine.signal(which(machine), number) > 0


def _frozen(name: str, which: Processes, seconds: float) -> Fault:
    def thaw(machine: Machine) -> None:
        machine.signal(_all(machine), signal.SIGCONT)

    return Fault(name, _signalling(which, signal.SIGSTOP), thaw, seconds)


def _clock(name: str, shift: float) -> Fault:
    def begin(machine: Machine) -> bool:
        machine.shift_clock(shift)
        return True

    return Fault(name, begin, lambda machine: machine.shift_clock(0.0), seconds=20.0)


def _narrow(machine: Machine) -> bool:
    assert machine.wires is not None
    machine.wires.narrow(machine.number)
    return True


def _widen(machine: Machine) -> None:
    assert machine.wires is not None
    machine.wires.widen(machine.number)


def _fill(machine: Machine) -> bool:
    machine.fill_disk()
    return True


def _break(machine: Machine) -> bool:
    machine.break_disk()
    return True


FAULTS = (
    Fault("daemon killed", _signalling(_trainer, signal.SIGKILL)),
    Fault("daemon crashed", _signalling(_trainer, signal.SIGSEGV)),
    Fault("workers killed", _signalling(_workers, signal.SIGKILL)),
    Fault("p2pd killed", _signalling(_p2pd, signal.SIGKILL)),
    _frozen("workers frozen", _workers, 15.0),
    _frozen("p2pd frozen", _p2pd, 15.0),
    _frozen("machine asleep", _all, 20.0),
    Fault("slow and lossy link", _narrow, _widen, seconds=20.0, needs="wires"),
    Fault("disk full", _fill, lambda machine: machine.empty_disk(), 10.0, needs="disk"),
    Fault("disk read-only", _break, seconds=10.0, needs="disk", may_end_daemon=True),
    _clock("clock 10 s ahead", 10.0),
    _clock("clock an hour behind", -3_600.0),
)
"""One of each a minute, each on a machine to which nothing else happens meanwhile."""
