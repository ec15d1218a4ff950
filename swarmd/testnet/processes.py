"""The processes of a testnet as members of a fleet, and chaos's access to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from swarmd.fleet import Device, Fleet, Member, under_parent
from swarmd.model_names import EMBEDDED
from swarmd.parent.trees import signal_tree
from swarmd.storage import Home
from swarmd.testnet import attackers
from swarmd.testnet.asked import Asked
from swarmd.testnet.capacity import USABLE, Capacity, memory_limit, threads
from swarmd.testnet.homes import HOST, OBSERVER, Settler

THREADS_VARIABLE = "OMP_NUM_THREADS"
DEFAULT_SWARM = "starter"  # what `swarmd join` starts without peers
SHORT_STEPS = 200  # a few minutes; in longer runs the daemon's own schedule evaluates several times
PER_PEER = ("SWARMD_NETWORK__", "SWARMD_OBSERVE__HTTP", "SWARMD_STEPS")
"""Prefixes of variables that apply to a single peer: its port, its addresses, its page, its end."""
OF_THE_PAGE = ("SWARMD_OBSERVE__HTTP_TOKEN", "SWARMD_OBSERVE__HTTP_HOSTS")
"""Variables that apply to the one page of a testnet, the observer's."""

Flags = Callable[[Mapping[str, object]], list[str]]
"""Settings by full name -> their flags."""


def peers(settlers: Sequence[Settler], asked: Asked, here: Capacity) -> tuple[Member, ...]:
    """Return one member per peer. The operator's settings are kept; the rest is a fair share."""
    models = [asked.model_of(each.number) for each in settlers]
    given = {key: value for key, value in asked.settings.items() if value is not None}
    limit = str(given.pop("policy.memory_limit", f"{USABLE:.0%}"))
    members = []
    for each, model in zip(settlers, models, strict=True):
        settings: dict[str, object] = {
            "policy.device": "cpu",
            "policy.memory_limit": memory_limit(models, each.number, here, limit),
            "observe.evaluate_every": _evaluate_every(asked),
            **given,
            "policy.model": model,
            "swarm": _swarm(settlers, asked),
            "seed": asked.seed,
            "network.host": HOST,
            "network.address_file": each.home.path / "addresses",
            "observe.log_format": "json",
            "observe.log_level": "debug",  # phases and health, for the rows
        }
        share = 1 if model == EMBEDDED else threads(len(settlers), here)  # too small to use a second
        members.append(Member(Device(each.label, "cpu"), each.home, settings, _environment(share)))
    return tuple(members)


def _swarm(settlers: Sequence[Settler], asked: Asked) -> str | None:
    """Return the swarm to name. New peers that start together have no peer to ask; existing homes know
    theirs.
    """
    is_new = not any(each.home.manifest_path.exists() for each in settlers)
    return DEFAULT_SWARM if asked.swarm is None and is_new else asked.swarm


def _evaluate_every(asked: Asked) -> int | None:
    """Return the interval. A short run has two evaluations: before the first step, and after the last."""
    if asked.evaluate_every is None and asked.steps is not None and asked.steps <= SHORT_STEPS:
        return asked.steps
    return asked.evaluate_every


def observer(directory: Path, http: str) -> Member:
    """Return a member that serves the page of the whole swarm."""
    settings: dict[str, object] = {
        "network.host": HOST,
        "observe.http": http,
        "observe.log_format": "json",
        "observe.log_level": "info",  # the first line says that it is up
    }
    home = Home(directory / OBSERVER)
    environment = {name: value for name, value in _environment(1).items() if name.upper() not in OF_THE_PAGE}
    return Member(Device(OBSERVER, "cpu"), home, settings, environment)


def attacker(directory: Path, number: int, kind: str) -> Member:
    """Return a member that attacks. It stores nothing, so its home is never created."""
    label = f"attacker {number} {kind}"
    root = str(attackers.checkout())
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return Member(
        Device(label, "cpu"),
        Home(directory / f"attacker-{number}"),
        {},
        {"PYTHONPATH": path, **_environment(1)},
        has_parent=False,
    )


def _environment(share: int) -> dict[str, str]:
    """Thread counts of the libraries, where the operator has not set them. An empty variable counts as
    unset.
    """
    mine = {} if THREADS_VARIABLE in os.environ else {THREADS_VARIABLE: str(share)}
    emptied = dict.fromkeys((name for name in os.environ if name.upper().startswith(PER_PEER)), "")
    return {"TOKENIZERS_PARALLELISM": "false", **mine, **emptied}


def join_command(member: Member, way_in: Sequence[str], steps: int | None, flags: Flags) -> list[str]:
    """Return the command of a peer that takes `steps` more steps."""
    settings = {**member.settings, "network.peers": list(way_in), "steps": steps}
    return [*under_parent("join"), f"--home={member.home.path}", *flags(settings)]


def observe_command(member: Member, way_in: Sequence[str], flags: Flags) -> list[str]:
    """Return the command of the observer."""
    settings = {**member.settings, "network.peers": list(way_in)}
    return [*under_parent("observe"), f"--home={member.home.path}", *flags(settings)]


@dataclass(frozen=True)
class Handling:
    """Chaos's access to the peers. Signals go to the peer itself, and its small parent restarts it when it
    dies.
    """

    fleet: Fleet
    members: Mapping[str, Member]

    def kill(self, label: str) -> bool:
        peer = self._peer(label)
        return peer is not None and _signal(peer, signal.SIGKILL)

    def freeze(self, label: str) -> bool:
        """Freeze peer, p2pd and workers, as on a machine that stands still."""
        peer = self._peer(label)
        return peer is not None and signal_tree(peer.pid, signal.SIGSTOP)

    def thaw(self, label: str) -> bool:
        peer = self._peer(label)
        return peer is not None and signal_tree(peer.pid, signal.SIGCONT)

    def restart(self, label: str) -> bool:
        if self._peer(label) is None:
            return False
        self.fleet.restart(self.members[label])
        return True

    def _peer(self, label: str) -> psutil.Process | None:
        """Return its process; None while it does not run."""
        parent = self.fleet.parent_pid(self.members[label])
        try:
            found = [] if parent is None else psutil.Process(parent).children()
        except psutil.NoSuchProcess:
            return None
        return found[0] if found else None


def _signal(process: psutil.Process, number: signal.Signals) -> bool:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
