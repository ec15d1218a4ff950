"""Runs the peers on one machine as processes: start, output, stop, and a report of failures.

The other peers join through the first one that is up, so all are in one swarm, and a model is downloaded only
once. A peer that ends takes no other with it. Each has its own small parent (`swarmd.parent`), which restarts
it when it dies of a fault or a lack of memory. On the first signal all are asked to stop, and each writes its
checkpoint. On the second they are killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from swarmd import exit_codes
from swarmd.errors import ConfigError, SwarmdError
from swarmd.fleet.members import Member, address_on_this_machine
from swarmd.fleet.output import Listener
from swarmd.parent.stops import LastStop, stop_signals
from swarmd.parent.trees import pause, started_by
from swarmd.storage.durable import remedy

FORCED_EXIT_CODE = exit_codes.FORCED  # as for a peer that runs alone
LOOK_EVERY_S = 0.2  # between two checks whether a peer has written its addresses, which takes seconds
LINE_BYTES_MAX = 2**20  # an event takes a few KiB; a longer line is omitted instead of kept in memory
LAST_LINES = 20  # of standard error: enough for a message; the last line is quoted
DRAIN_S = 2.0  # a dead child's output arrives at once, but its own children may hold the pipe a little longer
# to write a checkpoint if a bug or a cancellation here ends the fleet; then all are killed
ABANDONED_S = 60.0

Command = Callable[[Member, Sequence[str]], Sequence[str]]
"""Returns the program and arguments that start a member, given addresses of siblings to join through. May
raise ConfigError about a home.
"""


@dataclass
class _Child:
    member: Member
    process: Process
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the peer is reachable or has ended."""
    address: str | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    again: bool = False
    """Whether to start the peer again after an orderly end."""


async def supervise(members: Sequence[Member], *, command: Command, host: str, listener: Listener) -> int:
    """Run all members until they end. Return the exit code of an orderly or forced end.

    `host`: the IP address that they listen on. Takes over SIGINT, SIGTERM, SIGHUP and SIGTSTP. Raises
    SwarmdError naming the members that failed.
    """
    return await Fleet(members, command, host, listener).run()


@dataclass
class Fleet:
    """One run of the parent; see `supervise`. Use directly to stop, restart or add members while it runs."""

    members: Sequence[Member]
    command: Command
    host: str
    listener: Listener
    stops_at_failure: bool = False
    """Whether all members are asked to stop when one fails."""
    together: bool = False
    """Whether all start at once: `command` then knows how they reach one another before any is up."""
    failed: list[str] = field(default_factory=list)
    _children: dict[str, _Child] = field(default_factory=dict)
    """The newest process of each member, by the member's name."""
    _group: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    _stopping: bool = False
    _signals: int = 0
    _last_stop: LastStop = field(default_factory=LastStop)

    async def run(self) -> int:
        """See `supervise`."""
        with _listening(self._on_signal):
            try:
                async with self._group:
                    for member in self.members:
                        await self._begin(member)
            finally:
                await self._end_all()
        if self._signals > 1:
            return FORCED_EXIT_CODE
        if self.failed:
            raise SwarmdError(
                f"{len(self.failed)} of {len(self.members)} peers failed: {', '.join(self.failed)}; "
                "see their output above"
            )
        return exit_codes.DONE

    # Requests while it runs -----------------------------------------------------------------------

    def stop(self, why: str) -> None:
        """Ask all members to stop, and report why. Does nothing the second time."""
        if self._stopping:
            return
        self._stopping = True
        self.listener.told(why)
        for child in self._children.values():
            _ask_to_stop(child.process)

    def add(self, member: Member) -> None:
        """Start another member. Call only while others run."""
        self.members = (*self.members, member)
        self._group.create_task(self._begin(member), name=f"start {member.name}")

    def restart(self, member: Member) -> None:
        """Ask a member to stop, and start it again after an orderly end."""
        child = self._children[member.name]
        child.again = True
        _ask_to_stop(child.process)

    def parent_pid(self, member: Member) -> int | None:
        """Return the process id of the member's small parent; None while it is not running."""
        child = self._children.get(member.name)
        return None if child is None or child.process.returncode is not None else child.process.pid

    # One member -----------------------------------------------------------------------------------

    async def _begin(self, member: Member) -> None:
        """Start a member. If no other is up yet, wait until it is."""
        if self._stopping:
            return
        way_in = self._ways_in()
        child = await self._start(member, way_in)
        if child is None:
            self.listener.ended(member)
            return
        self._group.create_task(self._live(child), name=member.name)
        if not way_in and not self.together:
            await child.settled.wait()

    def _ways_in(self) -> list[str]:
        """Return the addresses of the members that are up."""
        return [
            child.address
            for child in self._children.values()
            if child.address is not None and child.process.returncode is None
        ]

    async def _start(self, member: Member, way_in: Sequence[str]) -> _Child | None:
        """Start a member in its own session: Ctrl-C in the terminal goes to the parent, which passes it on.

        Returns None, and reports a failure, if the system cannot start more processes or a home cannot be
        read or written.
        """
        try:
            member.addresses_path.unlink(missing_ok=True)
            process = await asyncio.create_subprocess_exec(
                *self.command(member, way_in),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=_environment(member),
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        except OSError as error:
            self._fail(member, "it could not be started", remedy(error))
            return None
        except ConfigError as error:
            self._fail(member, "it could not be started", str(error))
            return None
        child = self._children[member.name] = _Child(member, process)
        if self._stopping:  # a stop was requested while it was being started
            _ask_to_stop(process)
        return child

    async def _live(self, child: _Child) -> None:
        """Watch a member until it ends, and through each requested restart."""
        following: _Child | None = child
        while following is not None:
            child = following
            await self._watch(child)
            again = child.again and not self._stopping and child.process.returncode == 0
            following = await self._start(child.member, self._ways_in()) if again else None
        self.listener.ended(child.member)

    async def _watch(self, child: _Child) -> None:
        """Forward the child's output until it has ended."""
        process = child.process
        async with asyncio.TaskGroup() as group:
            meeting = group.create_task(self._meet(child))
            pumps = [
                group.create_task(
                    _each_line(process.stdout, partial(self.listener.said, child.member)), name="stdout"
                ),
                group.create_task(_each_line(process.stderr, partial(self._complain, child)), name="stderr"),
            ]
            code = await process.wait()
            meeting.cancel()
            await asyncio.wait(pumps, timeout=DRAIN_S)
            for pump in pumps:
                pump.cancel()
        child.settled.set()
        # A child that does not handle signals yet is ended by the signal itself.
        stopped_early = self._stopping and code == -signal.SIGTERM
        if code != 0 and not stopped_early and self._signals < 2:
            words = child.last_words[-1] if child.last_words else "nothing on standard error"
            self._fail(child.member, _how_it_ended(code), words)

    async def _meet(self, child: _Child) -> None:
        """Wait until the child is up. Without an address, no other joins through it."""
        try:
            address = await self._address_once_up(child.member)
        except (ConfigError, OSError) as error:
            why = remedy(error) if isinstance(error, OSError) else error
            self.listener.complained(child.member, f"no other peer joins through this one: {why}")
            address = None
        first = address is not None and not self._ways_in()
        child.address = address
        self.listener.reachable(child.member, first=first)
        child.settled.set()

    async def _address_once_up(self, member: Member) -> str | None:
        """Wait, without limit, until the member has written its addresses: it may download its model first.

        Raises ConfigError and OSError if its home cannot be read.
        """
        while not _is_written(member):  # noqa: ASYNC110  another process writes the file
            await asyncio.sleep(LOOK_EVERY_S)
        return address_on_this_machine(member, self.host)

    def _complain(self, child: _Child, line: str) -> None:
        if line.strip():
            child.last_words.append(line.strip())
        self.listener.complained(child.member, line)

    def _fail(self, member: Member, what: str, last_words: str) -> None:
        self.failed.append(member.name)
        self.listener.failed(member, f"{what}: {last_words}")
        if self.stops_at_failure:
            self.stop("stopping the others: each finishes or drops its step")

    # Shutdown -------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        """The first signal asks, even if the fleet was stopping by itself. The second kills. Ctrl-Z pauses:
        the terminal sends it to this process only, because each member leads its own session.
        """
        if number == signal.SIGTSTP:
            pause(self._to_pause())
            return
        if self._last_stop.repeated_by(number):
            return
        self._signals += 1
        if self._signals > 1:
            self._kill_all()
        elif self._stopping:
            self.listener.told("the peers are stopping already; press Ctrl-C again to kill them all")
        else:
            self.stop("stopping: each peer finishes or drops its step; press Ctrl-C again to kill them all")
        self._last_stop.handled()

    def _to_pause(self) -> list[int]:
        """Return the processes to pause. Small parents go on: if this process is killed while it is paused,
        each notices, and stops its peer.
        """
        pids: list[int] = []
        for child in self._children.values():
            if child.process.returncode is None:
                pid = child.process.pid
                pids += started_by(pid) if child.member.has_parent else [pid]
        return pids

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)

    async def _end_all(self) -> None:
        """Leave no process behind, however the fleet ends."""
        running = [child for child in self._children.values() if child.process.returncode is None]
        for child in running:
            _ask_to_stop(child.process)
        with suppress(TimeoutError):
            async with asyncio.timeout(ABANDONED_S):
                for child in running:
                    await child.process.wait()
        self._kill_all()
        for child in running:
            await child.process.wait()


@contextmanager
def _listening(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Handle the signals that stop or pause a process, and restore the handlers afterwards."""
    loop = asyncio.get_running_loop()
    numbers = stop_signals()
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:  # else whoever started this wants no pauses
        numbers.append(signal.SIGTSTP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _environment(member: Member) -> dict[str, str]:
    changed = {**os.environ, **member.environment}
    return {name: value for name, value in changed.items() if value is not None}


def _ask_to_stop(process: Process) -> None:
    """Ask by closing standard input; see `swarmd.parent.__main__`."""
    if process.stdin is not None:
        process.stdin.close()


def _is_written(member: Member) -> bool:
    try:
        return member.addresses_path.read_bytes().endswith(b"\n")
    except FileNotFoundError:
        return False


async def _each_line(stream: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
    if stream is None:
        return
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit
            take(f"(a line of more than {LINE_BYTES_MAX} bytes was omitted)")
            continue
        if not line:
            return
        take(line.decode("utf-8", "replace"))


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"it was ended by {name}{hint}"
