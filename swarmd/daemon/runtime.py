"""The daemon's lifetime: locks the home, serves status at once, assembles the peer, stops it in order.

It stops on the first signal, after `config.steps`, or when the network is lost for good: intake ends; the
current step is dropped, or finished if its update has begun; checkpoint; status closes; network closes.
Before the first step there is nothing to wait for. A second signal ends the process at once; the parent
counts them if there is one. A closed terminal (SIGHUP) is a signal like any other, and output that cannot
be written stops nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import uvloop
from pydantic import JsonValue
from rich.console import Console

from protocol import KeyPair
from swarmd import __version__, exit_codes
from swarmd.config import Config
from swarmd.daemon.beginning import Beginning
from swarmd.daemon.descriptors import require_descriptors
from swarmd.daemon.goodbye import say_goodbye
from swarmd.daemon.logs import route_logs
from swarmd.daemon.remembering import keep_events
from swarmd.errors import StorageError, SwarmdError, TaskError
from swarmd.gossip.orders import parse_order, parse_peer_id
from swarmd.importing import importing
from swarmd.observe import (
    EventLog,
    LiveView,
    RecordKind,
    RecordView,
    Sources,
    Starting,
    StatusServer,
    StatusSnapshot,
)
from swarmd.observe.play import AnswersView, Play, QuestionView, SentView, VerdictView
from swarmd.observe.settings_view import settings_view
from swarmd.observe.sinks import require_packages
from swarmd.observe.token import page_token, page_words, tell_token
from swarmd.parent.lifeline import Lifeline
from swarmd.parent.lives import times
from swarmd.parent.stops import stop_signals
from swarmd.places import runtime_directory
from swarmd.storage import Home

if TYPE_CHECKING:
    from swarmd.daemon.assembly import Assembly
    from swarmd.daemon.wiring import Peer

OWN_STATUS_EVERY_S = 5.0  # how often gossip receives this peer's own status; it publishes at its own pace


def run(config: Config, home: Home, beginning: Beginning | None = None) -> int:
    """Run a peer until it is stopped or `config.steps` are done. Returns the exit code.

    Raises SwarmdError for problems the operator can fix; any other exception is a bug.
    """
    require_descriptors()
    require_packages(config.observe.sinks)
    lifeline = Lifeline.from_environment()
    events = EventLog(config.observe, clock=time.time, stdout=sys.stdout, heard=_teller(lifeline))
    with (
        home.lock(),
        runtime_directory(home.path),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            runner.run(_Daemon(config, home, events, beginning, lifeline).live())
        except asyncio.CancelledError:
            events.emit("stopped", message="stopped before the first step; nothing was lost")
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(exit_codes.DONE)  # nothing else interrupts the loading or download of a model
        except BaseExceptionGroup as group:
            error = _one_of(group)
            raise error from (error.__cause__ or group)  # its cause decides the exit code
    return exit_codes.DONE


class _Daemon:
    """One run of `swarmd join`."""

    def __init__(
        self,
        config: Config,
        home: Home,
        events: EventLog,
        beginning: Beginning | None = None,
        lifeline: Lifeline | None = None,
    ) -> None:
        self._lifeline = lifeline or Lifeline()
        self._config = config
        self._home = home
        self._beginning = beginning or Beginning()
        self._key: KeyPair = home.key()
        self._events = events
        sources = Sources(self._records, events.since, self._settings)
        http = config.observe.http
        self._token, self._token_is_new = page_token(http, config.observe.http_token, home.path)
        self._server = StatusServer(
            self._snapshot,
            home.socket_path,
            http,
            self._judge,
            self._ping,
            sources=sources,
            play=_WhenAPeer(lambda: self._peer),
            token=self._token,
            http_hosts=config.observe.http_hosts,
        )
        self._began = time.monotonic()
        self._peer: Peer | None = None
        self._intake: asyncio.Task[None] | None = None
        self._failure: BaseExceptionGroup[BaseException] | None = None
        self._signals = 0

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()
        if main is None:
            raise RuntimeError("a daemon lives in a task")
        self._lifeline.end_with_parent(loop)
        for number in stop_signals():
            loop.add_signal_handler(number, self._on_signal, main)
        self._events.emit("started", peer_id=self._key.peer_id, home=self._home.path, version=__version__)
        word = self._lifeline.word
        if word is not None and word.deaths:
            self._events.emit(
                "warning",
                message=f"started again: the peer {word.last_end} ({times(word.deaths)} so far)",
            )
        self._server.bind()  # first, so that a port in use is reported before the model loads
        self._tell_page()
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._server.serve(), name="status")
                view = (
                    group.create_task(LiveView(self._events).run()) if self._events.mode == "live" else None
                )
                try:
                    await self._be_a_peer(serving, loop)
                finally:
                    self._server.stop()
                    if view is not None:
                        view.cancel()
        finally:
            self._server.close()

    def _tell_page(self) -> None:
        """Report where the page is. A new token is printed only once; later it is in the home's file."""
        if self._server.base_url is None:
            return
        url = f"{self._server.base_url}/"
        if self._token is not None and self._token_is_new:
            tell_token(url, self._token, self._home.path)
        given = self._config.observe.http_token
        self._events.emit("page", message=page_words(url, given, self._token, self._home.path))

    async def _be_a_peer(self, serving: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
        assembly = await self._assembly(loop)
        async with assembly.peer() as peer:
            self._peer = peer
            self._lifeline.begins_at(peer.steps.progress.step)
            try:
                await self._run(peer)
            finally:
                self._events.emit("phase", name="saying goodbye to other peers")
                with suppress(StorageError):  # the next start then waits for peers that left
                    peer.exchange.encounters.note_goodbyes()
                await say_goodbye(peer.reporter.gossip, peer.reporter.network, time.time())
                self._server.stop()
                await asyncio.wait([serving])  # the server reads the parts, which close next
        self._events.emit("stopped", step=peer.steps.progress.step)

    def _on_signal(self, main: asyncio.Task[object]) -> None:
        self._signals += 1
        if self._signals > 1:
            if self._lifeline.word is not None:
                return  # a shutdown signals this process and its parent; only the parent ends it at once
            if self._events.mode == "live":
                with suppress(OSError):
                    Console().show_cursor()
            os._exit(exit_codes.FORCED)  # the last checkpoint is whole, whatever is unfinished here
        if self._peer is None:
            self._events.emit("stopping", message="before the first step: there is nothing to finish")
            main.cancel()
            return
        self._events.emit("stopping", message="finishing or dropping the step; a second signal ends at once")
        if self._intake is not None:
            self._intake.cancel()
        self._peer.steps.stop()

    async def _assembly(self, loop: asyncio.AbstractEventLoop) -> Assembly:
        """Import it in a thread, because that takes seconds during which status and signals need answers."""
        self._events.emit("phase", name="loading libraries")
        self._events.emit("loading", message="PyTorch and the network: some seconds")
        assembly = await asyncio.to_thread(_import_assembly)
        route_logs(self._events, loop)  # after the packages have configured their own logging
        http = self._server.base_url
        return assembly(self._config, self._home, self._key, self._events, http, self._beginning)

    def _snapshot(self) -> StatusSnapshot | Starting:
        if self._peer is not None:
            return self._peer.reporter.snapshot()
        return Starting(
            phase=self._events.state.phase,
            uptime_s=time.monotonic() - self._began,
            peer_id=self._key.peer_id,
            pid=os.getpid(),
        )

    async def _records(self, kind: RecordKind, limit: int) -> Sequence[RecordView]:
        return [] if self._peer is None else await self._peer.rollouts.newest(kind, limit)

    def _settings(self) -> Mapping[str, JsonValue]:
        plan = () if self._peer is None else self._peer.reporter.plan.reasons
        return settings_view(self._config, plan)

    def _judge(self, order: str, peers: Sequence[str]) -> str | None:
        """Carry out an operator's order about peers, sent to the unix socket. Returns why it cannot, else
        None.
        """
        if self._peer is None:
            return "the daemon is still starting: try again"
        try:
            self._peer.exchange.judge(parse_order(order), [parse_peer_id(peer) for peer in peers])
        except SwarmdError as error:
            return str(error)
        return None

    async def _ping(self, peer: str) -> float:
        """Ping a peer, as requested over the unix socket. Raises SwarmdError if it does not answer."""
        if self._peer is None:
            raise SwarmdError("the daemon is still starting: try again")
        return await self._peer.exchange.ping(parse_peer_id(peer))

    # Running --------------------------------------------------------------------------------------

    async def _run(self, peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            self._intake = group.create_task(self._take_in(peer), name="exchange")
            beside = [
                group.create_task(self._keep_telling(peer), name="own status"),
                group.create_task(keep_events(self._events, peer.reporter.database), name="events"),
                group.create_task(self._try_junk(peer), name="junk"),
                *(group.create_task(run(), name=name) for name, run in peer.beside.items()),
            ]
            try:
                word = self._lifeline.word
                await peer.steps.run(None if word is None else word.first_step)
            finally:
                peer.steps.stop()
                self._intake.cancel()
                for task in beside:
                    task.cancel()
        if self._failure is not None:
            raise self._failure

    async def _try_junk(self, peer: Peer) -> None:
        """Warn about tasks that reward junk. Runs in parallel with the first steps, because it takes
        seconds.
        """
        try:
            for payer in await peer.find_payers():
                self._events.emit("warning", message=str(payer))
        except TaskError as error:  # the step loop meets it too, and ends the daemon properly
            self._events.emit("warning", message=f"the tasks could not be tested with junk: {error}")

    async def _take_in(self, peer: Peer) -> None:
        """Exchange groups until cancelled. A failure here ends the daemon, after its checkpoint."""
        try:
            await peer.exchange.run()
        except BaseExceptionGroup as failure:
            self._failure = failure
            self._events.emit("stopping", message=f"saving a checkpoint, then ending: {_one_of(failure)}")
            peer.steps.stop()

    async def _keep_telling(self, peer: Peer) -> None:
        """Keep gossip up to date about this peer, and report each problem with the swarm or the connection
        once, when it begins.
        """
        before: set[str] = set()
        health: tuple[str, ...] | None = None
        reach = "unknown"
        while True:
            if (found := peer.reporter.reach()).state != reach:
                reach = found.state
                self._events.emit("reach", state=reach, message=found.says, remedy=found.remedy)
            if (now := peer.reporter.health().reasons) != health:
                health = now
                self._events.emit("health", reasons=health)
            peer.exchange.handle(peer.reporter.own_status())
            problems = {_kind_of(problem): problem for problem in peer.reporter.problems()}
            for kind in problems.keys() - before:
                self._events.emit("warning", message=problems[kind])
            before = set(problems)
            await asyncio.sleep(OWN_STATUS_EVERY_S)


class _WhenAPeer(Play):
    """The peer's desk, which exists only once there is a peer."""

    def __init__(self, peer: Callable[[], Peer | None]) -> None:
        self._peer = peer

    async def ask(self, without: Sequence[str]) -> QuestionView:
        return await self._desk.ask(without)

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        return await self._desk.judge(question, turns)

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        return await self._desk.finish(question, attempts, name)

    def answers(self) -> AnswersView:
        return self._desk.answers()

    @property
    def _desk(self) -> Play:
        peer = self._peer()
        if peer is None:
            raise SwarmdError("the daemon is still starting: try again")
        return peer.desk


def _kind_of(problem: str) -> str:
    """Return the problem's text up to the first number or colon, because numbers change between reports."""
    return re.split(r"[:\d]", problem, maxsplit=1)[0]


def _teller(lifeline: Lifeline) -> Callable[[str, Mapping[str, object]], None]:
    """Return a callback that tells the parent what it needs to know in case the daemon dies."""

    def heard(name: str, fields: Mapping[str, object]) -> None:
        if name == "step":
            lifeline.finished(int(str(fields["step"])))
        elif name == "phase":
            lifeline.doing(str(fields["name"]))

    return heard


def _import_assembly() -> type[Assembly]:
    with importing():
        from swarmd.daemon.assembly import Assembly

    return Assembly


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first bug in `group`, else the first error that the operator can fix."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            flat.append(error)
    bugs = [error for error in flat if not isinstance(error, SwarmdError)]
    return (bugs or flat)[0]
