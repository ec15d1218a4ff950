"""Runs the peers of one machine as processes: start, output, stop, and a report of those that failed.

The others join through the first that is up. So all are in one swarm, and a model that must be downloaded is
downloaded once. A peer that ends takes no other with it. Each has a small parent of its own
(`swarmd.parent`), which starts it again when it dies of a fault or for lack of memory. On the first signal
all are asked to stop, and each writes its checkpoint. On the second they are killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TextIO

from swarmd import exit_codes
from swarmd.errors import SwarmdError
from swarmd.fleet.lines import labelled, labelled_json
from swarmd.fleet.members import Member, address_on_this_machine
from swarmd.parent.lifeline import STOP
from swarmd.storage.durable import remedy

FORCED_EXIT_CODE = exit_codes.FORCED  # as for a peer that is started by itself
LOOK_EVERY_S = 0.2  # between two checks whether a peer wrote its addresses, which takes it seconds
LINE_BYTES_MAX = 2**20  # an event takes a few KiB; a longer line is left out, not kept in memory
LAST_LINES = 20  # of standard error: enough for a message; the last line is quoted
DRAIN_S = 2.0  # what a dead child wrote is there at once; its own children may hold the pipe a little longer

Command = Callable[[Member, Sequence[str]], Sequence[str]]
"""The program and arguments that start a member, given the addresses of siblings to join through."""


@dataclass
class _Child:
    member: Member
    process: Process
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it can be reached or has ended."""
    address: str | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


async def supervise(
    members: Sequence[Member],
    *,
    command: Command,
    host: str,
    as_json: bool,
    out: TextIO,
    err: TextIO,
    reachable: Callable[[Member], None],
) -> int:
    """Run all members to their end; returns the exit code for orderly ends, forced or not.

    `host` is the IP address they listen on, `reachable` is told which one is up first. Their lines go to
    `out` and `err`. Takes SIGINT, SIGTERM and SIGHUP for itself. Raises SwarmdError naming those that failed.
    """
    return await _Fleet(members, command, host, as_json, out, err, reachable).run()


@dataclass
class _Fleet:
    """One run of the parent; see `supervise`."""

    members: Sequence[Member]
    command: Command
    host: str
    as_json: bool
    out: TextIO | None
    err: TextIO | None
    reachable: Callable[[Member], None]
    children: list[_Child] = field(default_factory=list)
    signals: int = 0
    failed: list[str] = field(default_factory=list)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in STOP:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:  # nohup
                continue
            loop.add_signal_handler(number, self._on_signal)
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                if self.signals:
                    break
                way_in = self._ways_in()
                child = await self._start(member, way_in)
                if child is None:
                    continue
                group.create_task(self._watch(child), name=member.name)
                if not way_in:
                    await child.settled.wait()
                    if child.address is not None:
                        self.reachable(member)
        if self.signals > 1:
            return FORCED_EXIT_CODE
        if self.failed:
            raise SwarmdError(
                f"{len(self.failed)} of {len(self.members)} peers failed: {', '.join(self.failed)}; "
                "see what they said above"
            )
        return 0

    def _ways_in(self) -> list[str]:
        """Addresses of the peers that are up."""
        return [
            child.address
            for child in self.children
            if child.address is not None and child.process.returncode is None
        ]

    def _on_signal(self) -> None:
        self.signals += 1
        if self.signals == 1:
            self._tell(
                "stopping: each peer finishes or drops its step; press Ctrl-C again to end all at once"
            )
        for child in self.children:
            if self.signals == 1:
                _ask_to_stop(child.process)
            elif child.process.returncode is None:
                child.process.kill()

    async def _start(self, member: Member, way_in: Sequence[str]) -> _Child | None:
        """Start it in a session of its own: a Ctrl-C in the terminal is for the parent, which passes it on.

        None if the system starts no more processes, or the home cannot be written. That is told as a failure.
        """
        try:
            member.addresses_path.unlink(missing_ok=True)
            process = await asyncio.create_subprocess_exec(
                *self.command(member, way_in),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={**os.environ, **member.environment},
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        except OSError as error:
            self._fail(member, "it could not be started", remedy(error))
            return None
        child = _Child(member, process)
        self.children.append(child)
        if self.signals:  # while it was being started
            _ask_to_stop(process)
        return child

    async def _watch(self, child: _Child) -> None:
        """Pass on what the child says, until it has ended."""
        process = child.process
        async with asyncio.TaskGroup() as group:
            meeting = group.create_task(self._meet(child))
            pumps = [
                group.create_task(_each_line(process.stdout, partial(self._say, child))),
                group.create_task(_each_line(process.stderr, partial(self._complain, child))),
            ]
            code = await process.wait()
            meeting.cancel()
            await asyncio.wait(pumps, timeout=DRAIN_S)
            for pump in pumps:
                pump.cancel()
        child.settled.set()
        # If a child did not listen for signals yet, the signal itself ended it.
        stopped_early = self.signals > 0 and code == -signal.SIGTERM
        if code != 0 and not stopped_early and self.signals < 2:
            words = child.last_words[-1] if child.last_words else "it said nothing on standard error"
            self._fail(child.member, _how_it_ended(code), words)

    async def _meet(self, child: _Child) -> None:
        """Wait until the child wrote its addresses, without limit: it may have to download its model."""
        while not _is_written(child.member):  # noqa: ASYNC110  it is another process that writes it
            await asyncio.sleep(LOOK_EVERY_S)
        child.address = address_on_this_machine(child.member, self.host)
        child.settled.set()

    def _say(self, child: _Child, line: str) -> None:
        text = labelled_json(line, child.member.name) if self.as_json else self._labelled(child, line)
        self.out = _print(text, self.out)

    def _complain(self, child: _Child, line: str) -> None:
        if line.strip():
            child.last_words.append(line.strip())
        self.err = _print(self._labelled(child, line), self.err)

    def _labelled(self, child: _Child, line: str) -> str:
        width = max(len(member.name) for member in self.members)
        return labelled(line, child.member.name, width)

    def _fail(self, member: Member, what: str, last_words: str) -> None:
        self.failed.append(member.name)
        self._tell(f"error: the peer on {member.name} failed: {what}: {last_words}")

    def _tell(self, text: str) -> None:
        self.err = _print(text, self.err)


def _ask_to_stop(process: Process) -> None:
    """See `swarmd.parent.__main__`."""
    if process.stdin is not None:
        process.stdin.close()


def _is_written(member: Member) -> bool:
    try:
        return member.addresses_path.read_text(encoding="utf-8").endswith("\n")
    except FileNotFoundError:
        return False


async def _each_line(stream: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
    if stream is None:
        return
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit
            take(f"(a line of more than {LINE_BYTES_MAX} bytes was left out)")
            continue
        if not line:
            return
        take(line.decode("utf-8", "replace"))


def _print(text: str, stream: TextIO | None) -> TextIO | None:
    """The stream, or None once it cannot be written: the peers go on without a reader."""
    if stream is None:
        return None
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:  # the child wrote letters that the terminal does not have
        return _print(text.encode("ascii", "backslashreplace").decode(), stream)
    except OSError:
        return None
    return stream


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"it was ended by {name}{hint}"
