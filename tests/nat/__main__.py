"""`python -m tests.nat`: real daemons behind routers of several kinds, and what reaches whom which way.

Public machines run one peer and observers, each home one peer. Prints how each is reached, when the first
group of each home came to each other home and which way, how long a dead relay is missed, and what remains
when the last public peer is gone. Needs root; leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import permutations
from pathlib import Path

from swarmd.errors import SwarmdError
from swarmd.observe import StatusSnapshot, ask_status
from tests.integration.daemon_process import DaemonProcess, Event
from tests.nat.homes import Kind, Street, why_not_possible
from tests.nat.sixes import StreetOfSixes

KINDS = {"full": Kind.FULL_CONE, "port": Kind.PORT_RESTRICTED, "symmetric": Kind.SYMMETRIC}
SIXES = {"open6": Kind.OPEN_6, "firewall6": Kind.FIREWALL_6}
PUBLIC = 3
START_S = 600.0
"""For all daemons to have joined; a minute on an idle machine with two cores."""

EXCHANGE_S = 300.0
"""For the first groups to come after that."""

RELAY_S = 60.0
"""For another relay to be found after one died; 30 is the bound."""

OPTIONS = (
    *("--local", "2", "--external", "8", "--group-size", "4", "--max-new-tokens", "8"),
    *("--evaluate-every", "0"),
)
"""Small steps of peers that want more groups than there are: so they are always seen to exchange some."""


@dataclass(frozen=True)
class First:
    """The first group of one home that came to another."""

    publisher: str
    reader: str
    seconds: float | None
    """After both had joined; None if none came."""
    way: str = ""


@dataclass
class Result:
    reached: dict[str, str] = field(default_factory=dict)
    firsts: list[First] = field(default_factory=list)
    ways: dict[str, dict[str, int]] = field(default_factory=dict)
    """"publisher > reader" -> way -> groups that came that way while the laboratory watched."""
    relay_missed_s: dict[str, float | None] = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)


class Member:
    """One daemon on one machine."""

    def __init__(
        self,
        name: str,
        street: Street,
        number: int,
        home: Path,
        command: str,
        options: Sequence[str],
        port: int,
    ) -> None:
        self.name = name
        self.number = number
        host = street.address(number) if number < street.public else street.home_address(number)
        self.process = DaemonProcess(
            home,
            *("--host", host, "--port", str(port), *options),
            prefix=street.inside(number),
            command=command,
        )

    @property
    def peer_id(self) -> str:
        return str(self.process.home.key().peer_id)

    def status(self) -> StatusSnapshot | None:
        try:
            return ask_status(self.process.home.path, self.process.home.socket_path)
        except (SwarmdError, OSError):
            return None

    def joined_at(self) -> float | None:
        found = [*self.process.named("joined"), *self.process.named("alone")]
        return _at(found[0]) if found else None


def _at(event: Event) -> float:
    return datetime.fromisoformat(event["ts"]).timestamp()


def _until(is_done: Callable[[], bool], seconds: float) -> float | None:
    """Seconds until it was so; None if it never was."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if is_done():
            return time.monotonic() - began
        time.sleep(0.5)
    return None


class Laboratory:
    """All machines of one run."""

    def __init__(self, street: Street, directory: Path, public_port: int, say: Callable[[str], None]) -> None:
        self._street = street
        self._public_port = public_port
        self._directory = directory
        self._say = say
        self.public: list[Member] = []
        self.homes: list[Member] = []

    def start(self, options: Sequence[str]) -> None:
        street = self._street
        first = self._member("public 0", 0, "join", [*OPTIONS, *options])
        self.public.append(first)
        address = f"/ip{street.VERSION}/{street.address(0)}/tcp/{self._public_port}/p2p/"
        first.process.wait_for("join_command", timeout_s=START_S)
        named = ["--peer", address + first.peer_id]
        for number in range(1, street.public):
            self.public.append(self._member(f"public {number}", number, "observe", named))
        for number in range(street.public, street.count):
            name = f"{street.kinds[number - street.public]} {number}"
            self.homes.append(self._member(name, number, "join", [*OPTIONS, *options, *named]))
        for home in self.homes:
            home.process.wait_for("joined", timeout_s=START_S)
            self._say(f"{home.name} joined")

    def _member(self, name: str, number: int, command: str, options: Sequence[str]) -> Member:
        self._say(f"starting {name}")
        port = self._public_port if number < self._street.public else self._street.INNER_PORT
        home = self._directory / f"m{number}"
        return Member(name, self._street, number, home, command, options, port)

    def firsts(self) -> list[First]:
        """The first group of each home at each other home, once all came or the time is over."""
        pairs = list(permutations(self.homes, 2))
        _until(lambda: all(self._first(*pair).seconds is not None for pair in pairs), EXCHANGE_S)
        return [self._first(*pair) for pair in pairs]

    def _first(self, publisher: Member, reader: Member) -> First:
        came = [e for e in reader.process.named("pulled") if e["publisher"] == publisher.peer_id]
        if not came:
            return First(publisher.name, reader.name, None)
        both = max(publisher.joined_at() or 0.0, reader.joined_at() or 0.0)
        return First(publisher.name, reader.name, _at(came[0]) - both, came[0]["way"])

    def watch(self, seconds: float) -> dict[str, dict[str, int]]:
        """Which way the groups of each home came to each other home in the next `seconds`."""
        self._say(f"watching for {seconds:.0f} s")
        began = time.time()
        time.sleep(seconds)
        ways = {}
        for publisher, reader in permutations(self.homes, 2):
            came = [
                event["way"]
                for event in reader.process.named("pulled")
                if event["publisher"] == publisher.peer_id and _at(event) > began
            ]
            ways[f"{publisher.name} > {reader.name}"] = dict(Counter(came))
        return ways

    def reached(self) -> dict[str, str]:
        """How each is reached, in its own words."""
        said = {}
        for member in (*self.public[:1], *self.homes):
            status = member.status()
            reach = "does not answer" if status is None else status.reach.says
            said[member.name] = reach
        return said

    def lose_a_relay(self, *, silently: bool) -> dict[str, float | None]:
        """End the relay that most homes use, or its wire; seconds until each of these holds as many places as
        before, all at others. Needs a public machine to spare: homes hold places at three."""
        users: dict[str, list[Member]] = {}
        before: dict[str, int] = {}
        for home in self.homes:
            status = home.status()
            before[home.name] = 0 if status is None else len(status.reach.relays)
            for relay in () if status is None else status.reach.relays:
                users.setdefault(relay, []).append(home)
        victims = {member.peer_id: member for member in self.public[1:]}
        used = {relay: found for relay, found in users.items() if relay in victims}
        if not used:
            return {}
        relay = max(used, key=lambda one: len(used[one]))
        self._say(f"ending {victims[relay].name}, a relay of {len(used[relay])} homes")
        if silently:
            self._street.unplug(victims[relay].number)
        else:
            victims[relay].process.kill()
        began = time.monotonic()
        missed: dict[str, float | None] = dict.fromkeys((home.name for home in used[relay]), None)

        def is_replaced() -> bool:
            for home in used[relay]:
                status = home.status()
                if missed[home.name] is None and status is not None:
                    relays = status.reach.relays
                    if relay not in relays and len(relays) >= before[home.name]:
                        missed[home.name] = time.monotonic() - began
            return all(seconds is not None for seconds in missed.values())

        _until(is_replaced, RELAY_S)
        return missed

    def kill_all_public(self, seconds: float) -> dict[str, str]:
        """What remains without any public peer, in the words of the homes."""
        for member in self.public:
            member.process.kill()
        self._say(f"no public peer is left; waiting for {seconds:.0f} s")
        began = time.time()
        time.sleep(seconds)
        said = {}
        for home in self.homes:
            status = home.status()
            came = [e for e in home.process.named("pulled") if _at(e) > began + 30.0]
            ways = sorted({event["way"] for event in came})
            health = "" if status is None else "; ".join(status.health.reasons)[:120] or "well"
            reach = "?" if status is None else status.reach.state
            said[home.name] = (
                f"{len(came)} groups after 30 s ({', '.join(ways) or 'none'}); {reach}; {health}"
            )
        return said

    def close(self) -> None:
        for member in (*self.homes, *self.public):
            member.process.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nat", description=__doc__)
    parser.add_argument("--homes", default="full,port,port,symmetric", help=", ".join([*KINDS, *SIXES]))
    parser.add_argument("--public", type=int, default=PUBLIC, help="public machines")
    parser.add_argument("--alone", type=float, default=90.0, help="seconds without any public peer; 0: never")
    parser.add_argument(
        "--watch", type=float, default=0.0, help="seconds after the first groups in which ways are counted"
    )
    parser.add_argument(
        "--only-port",
        type=int,
        help="where public peers listen; the last home lets nothing out but TCP to it",
    )
    parser.add_argument("--no-udp", action="store_true", help="no machine sends a datagram")
    parser.add_argument("--unplug", action="store_true", help="a relay loses its wire instead of its process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write there what each daemon said")
    given, options = parser.parse_known_args(arguments)
    if why := why_not_possible():
        print(f"no homes can be built here: {why}", file=sys.stderr)
        return 2
    names = given.homes.split(",")
    known = SIXES if names[0] in SIXES else KINDS
    if unknown := [name for name in names if name not in known]:
        kinds_known = f"{', '.join(KINDS)}, or all of {', '.join(SIXES)}"
        parser.error(f"--homes: {', '.join(unknown)}: all homes of a street are of {kinds_known}")
    kinds = [known[name] for name in names]
    version = StreetOfSixes if names[0] in SIXES else Street
    result, began = Result(), time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nat-")))
        street = stack.enter_context(version(given.public + len(kinds), kinds=kinds).laid())
        if given.no_udp:
            street.block_udp()
        if given.only_port:
            street.allow_out(street.count - 1, given.only_port)
        laboratory = Laboratory(
            street,
            directory,
            given.only_port or street.INNER_PORT,
            lambda text: print(f"{time.monotonic() - began:6.1f} {text}", flush=True),
        )
        stack.callback(laboratory.close)
        laboratory.start(options)
        result.firsts = laboratory.firsts()
        if given.watch:
            result.ways = laboratory.watch(given.watch)
        result.reached = laboratory.reached()
        result.relay_missed_s = laboratory.lose_a_relay(silently=given.unplug)
        if given.alone:
            result.alone = laboratory.kill_all_public(given.alone)
        if given.keep:
            _keep(laboratory, given.keep)
    _print(result)
    if given.json:
        given.json.write_text(json.dumps(asdict(result), indent=1))
    return 0


def _keep(laboratory: Laboratory, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for member in (*laboratory.public, *laboratory.homes):
        name = member.name.replace(" ", "-")
        lines = "".join(f"{json.dumps(event)}\n" for event in member.process.events)
        (directory / f"{name}.jsonl").write_text(lines)
        shutil.copy(member.process.errors_path, directory / f"{name}.stderr")


def _print(result: Result) -> None:
    print("\nhow each is reached")
    for name, said in result.reached.items():
        print(f"  {name:<20} {said}")
    print("\nfirst group: of, to, seconds, way")
    for first in result.firsts:
        seconds = "none" if first.seconds is None else f"{first.seconds:6.1f}"
        print(f"  {first.publisher:<20} {first.reader:<20} {seconds} {first.way}")
    for pair, ways in result.ways.items():
        print(f"later: {pair}: {', '.join(f'{n} {way}' for way, n in ways.items()) or 'none'}")
    for name, missed in result.relay_missed_s.items():
        print(f"relay lost: {name} has others after {'never' if missed is None else f'{missed:.1f} s'}")
    for name, said in result.alone.items():
        print(f"no public peer left: {name}: {said}")


if __name__ == "__main__":
    sys.exit(main())
