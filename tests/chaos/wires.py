"""Peers on machines of their own: network namespaces on a bridge, with links to be cut, narrowed and mended.

Needs root, and Linux with bridges and veth pairs. A cut is silent, as of a cable or a router: each side sends
to a neighbour that is not there. A narrow link passes so little that most packets of a burst are lost.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

NOBODY = "02:00:00:00:00:01"
"""A hardware address that no interface has."""

COMMAND_S = 20.0
"""For one `ip`, `tc`, mount or making of a file system; they take a fraction of a second."""

NARROW = ("rate", "512kbit", "burst", "4kb", "limit", "12kb")
"""A tenth of what an idle pair needs, and a queue of eight packets: what comes faster is lost."""


def are_possible() -> bool:
    """Whether this process may make namespaces and bridges here."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    probe = f"chaos{os.getpid()}"
    try:
        run_command("ip", "netns", "add", probe)
        run_command("ip", "link", "add", probe, "type", "bridge")
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        for undo in (("ip", "link", "del", probe), ("ip", "netns", "del", probe)):
            subprocess.run(undo, capture_output=True, check=False)
    return True


@dataclass
class Wires:
    """One bridge and a namespace a peer, with addresses from a private network of documentation's kind.

    The bridge has a namespace of its own: where docker runs, the machine's own firewall drops what passes a
    bridge that it does not know.
    """

    count: int
    network: ipaddress.IPv4Network | ipaddress.IPv6Network = field(
        default=ipaddress.ip_network("10.77.0.0/24")
    )
    _cut: set[frozenset[int]] = field(default_factory=set)
    _narrow: set[int] = field(default_factory=set)

    @property
    def bridge(self) -> str:
        """The bridge's name, and that of its namespace."""
        return f"chaos{os.getpid()}"

    def on_bridge(self, *command: str) -> None:
        """Run a command where the bridge and its ends of the wires are."""
        run_command("nsenter", f"--net=/var/run/netns/{self.bridge}", *command)

    def namespace(self, number: int) -> str:
        return f"chaos{os.getpid()}-{number}"

    def address(self, number: int) -> str:
        """Where peer `number` listens."""
        return str(self.network[number + 10])

    def inside(self, number: int) -> tuple[str, ...]:
        """What stands before a command that is to run on the machine of that peer.

        Not `ip netns exec`: that gives the command mounts of its own, which keep others' disks in use.
        """
        return ("nsenter", f"--net=/var/run/netns/{self.namespace(number)}")

    @contextmanager
    def laid(self) -> Iterator[Wires]:
        """All of it, until the end of the block; nothing of it is left."""
        try:
            run_command("ip", "netns", "add", self.bridge)
            self.on_bridge("ip", "link", "add", self.bridge, "type", "bridge")
            self.on_bridge("ip", "link", "set", self.bridge, "up")
            for number in range(self.count):
                self._lay(number)
            yield self
        finally:
            for name in (*map(self.namespace, range(self.count)), self.bridge):
                subprocess.run(("ip", "netns", "del", name), capture_output=True, check=False)

    def _lay(self, number: int) -> None:
        name, outside = self.namespace(number), self._outside(number)
        run_command("ip", "netns", "add", name)
        self.on_bridge("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.on_bridge("ip", "link", "set", outside, "master", self.bridge, "up")
        prefix = self.network.prefixlen
        run_command(
            *self.inside(number), "ip", "addr", "add", f"{self.address(number)}/{prefix}", "dev", "eth0"
        )
        for device in ("lo", "eth0"):
            run_command(*self.inside(number), "ip", "link", "set", device, "up")

    def cut(self, some: Sequence[int], others: Sequence[int]) -> None:
        """No packet passes between the two sides any more."""
        for one, other in product(some, others):
            self._cut.add(frozenset((one, other)))
            for here, there in ((one, other), (other, one)):
                self._neighbour(here, "replace", self.address(there), "lladdr", NOBODY, "nud", "permanent")

    def heal(self) -> None:
        """All cuts are undone."""
        for pair in self._cut:
            one, other = sorted(pair)
            for here, there in ((one, other), (other, one)):
                self._neighbour(here, "del", self.address(there))
        self._cut.clear()

    def narrow(self, number: int) -> None:
        """Little passes from and to this peer, and what comes too fast is lost."""
        self._narrow.add(number)
        self.on_bridge("tc", "qdisc", "replace", "dev", self._outside(number), "root", "tbf", *NARROW)
        run_command(*self.inside(number), "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", *NARROW)

    def widen(self, number: int) -> None:
        """Its link is as before."""
        if number in self._narrow:
            self._narrow.remove(number)
            self.on_bridge("tc", "qdisc", "del", "dev", self._outside(number), "root")
            run_command(*self.inside(number), "tc", "qdisc", "del", "dev", "eth0", "root")

    def _outside(self, number: int) -> str:
        """The bridge's end of its wire; such names have 15 characters at most."""
        return f"ch{os.getpid() % 100_000}-{number}"

    def _neighbour(self, number: int, action: str, address: str, *rest: str) -> None:
        run_command(*self.inside(number), "ip", "neigh", action, address, *rest, "dev", "eth0")


def run_command(*command: str) -> str:
    """What it printed. Raises CalledProcessError."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S)
    return done.stdout
