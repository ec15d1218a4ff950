"""Assembly and lifetime: builds the parts, runs them in one TaskGroup, takes them down in order.

Stop, on the first signal, after `config.steps`, or when the network is lost for good: intake ends; the step
in hand is dropped, or finished if its update has begun; checkpoint; status closes; network closes. A second
signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import uvloop
from rich.console import Console

from protocol import KeyPair, Manifest
from swarmd import __version__
from swarmd.config import Config
from swarmd.daemon.exchange import Exchange
from swarmd.daemon.joining import choose_manifest
from swarmd.daemon.learner import Learner, load_learner
from swarmd.daemon.logs import route_logs
from swarmd.daemon.meeting import meet
from swarmd.daemon.report import Reporter, join_command, write_addresses
from swarmd.daemon.steps import Parts, StepLoop
from swarmd.daemon.verification import Verification
from swarmd.errors import ConfigError, SwarmdError
from swarmd.gossip import AddressesRemembered, Gossip
from swarmd.learning import group_sampler
from swarmd.network.hivemind import HivemindNetwork
from swarmd.network.interface import Network
from swarmd.network.p2pd import require_free_port
from swarmd.observe import EventLog, LiveView, StatusServer
from swarmd.storage import BlobStore, Database, Home
from swarmd.tasks import TaskRunner, TrainingDraw

FORCED_EXIT_CODE = 130  # 128 + SIGINT, as shells report it
OWN_STATUS_EVERY_S = 5.0  # how often gossip hears how this peer is doing; it publishes at its own pace


def run(config: Config, home: Home) -> int:
    """Be a peer until stopped or until `config.steps` are done; returns the exit code.

    Raises SwarmdError for what a person can act on; anything else that comes out is a bug.
    """
    events = EventLog(config.observe, clock=time.time, stdout=sys.stdout)
    with home.lock(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_Daemon(config, home, events).live())
        except asyncio.CancelledError:
            events.emit("stopped", message="stopped before the first step; nothing was lost")
        except BaseExceptionGroup as group:
            raise _one_of(group) from group
    return 0


@dataclass(frozen=True)
class _Peer:
    """Everything that runs once the daemon is assembled."""

    exchange: Exchange
    steps: StepLoop
    server: StatusServer
    reporter: Reporter


class _Daemon:
    """One run of `swarmd join`."""

    def __init__(self, config: Config, home: Home, events: EventLog) -> None:
        self._config = config
        self._home = home
        self._key: KeyPair = home.key()
        self._events = events
        self._swarm_id: bytes | None = None
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._steps: StepLoop | None = None
        self._intake: asyncio.Task[None] | None = None
        self._failure: BaseExceptionGroup[BaseException] | None = None
        self._signals = 0

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        route_logs(self._events, loop)
        main = asyncio.current_task()
        if main is None:
            raise RuntimeError("a daemon lives in a task")
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, main)
        async with asyncio.TaskGroup() as group:
            view = group.create_task(LiveView(self._events).run()) if self._events.mode == "live" else None
            try:
                async with self._assembled() as peer:
                    await self._run(peer)
                self._events.emit("stopped", step=peer.steps.progress.step)
            finally:
                if view is not None:
                    view.cancel()

    def _on_signal(self, main: asyncio.Task[object]) -> None:
        self._signals += 1
        if self._signals > 1:
            if self._events.mode == "live":
                Console().show_cursor()
            os._exit(FORCED_EXIT_CODE)  # "now": the last checkpoint is whole, whatever is half done here
        self._events.emit("stopping", message="finishing or dropping the step; once more ends at once")
        if self._steps is None:
            main.cancel()
            return
        if self._intake is not None:
            self._intake.cancel()
        self._steps.stop()

    # Assembly -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _assembled(self) -> AsyncIterator[_Peer]:
        """The parts, started; what was opened first is closed last, so the network goes after all others."""
        config, home, events = self._config, self._home, self._events
        events.emit("started", peer_id=self._key.peer_id, home=home.path, version=__version__)
        async with AsyncExitStack() as stack:
            network = await self._start_network()
            stack.push_async_callback(network.close)
            home.write_port(network.port)
            groups_max = config.storage.pool_groups_max
            database = stack.enter_context(
                Database(home.database_path, pool_groups_max=groups_max, on_problem=self._warn)
            )
            manifest = await choose_manifest(
                config.swarm, home=home, network=network, peers=config.network.peers, events=events
            )
            self._swarm_id = manifest.swarm_id
            blobs = BlobStore(home.records_path, config.storage.records_bytes_max, on_problem=self._warn)
            network.serve(bodies=blobs.get, manifest=manifest.to_bytes())
            tasks, learner = await self._start_worker_and_learner(stack, manifest)
            database.rewind(learner.progress.step)
            peer = self._peer(network, database, blobs, manifest, tasks, learner)
            peer.server.bind()
            stack.callback(peer.server.close)
            await self._join(network, database, peer.exchange, manifest)
            yield peer

    def _peer(
        self,
        network: Network,
        database: Database,
        blobs: BlobStore,
        manifest: Manifest,
        tasks: TaskRunner,
        learner: Learner,
    ) -> _Peer:
        """What runs, over what was opened. Starts nothing."""
        gossip = Gossip(
            key=self._key,
            manifest=manifest,
            rng=random.Random(os.urandom(16)),  # noqa: S311  spreads peers over shards; nothing secret
            dialable=network.statistics().dialable,
        )
        exchange = Exchange(
            gossip=gossip,
            network=network,
            verification=Verification(manifest=manifest, tasks=tasks),
            database=database,
            blobs=blobs,
            events=self._events,
            clock=time.time,
        )
        parts = Parts(
            config=self._config,
            manifest=manifest,
            learner=learner,
            sampler=group_sampler(self._config.learning),
            tasks=tasks,
            draw=TrainingDraw(
                manifest, self._key.peer_id, self._config.seed, learner.progress.questions_drawn
            ),
            database=database,
            exchange=exchange,
            events=self._events,
            clock=time.time,
            model_thread=self._model_thread,
        )
        steps = StepLoop(parts)
        reporter = Reporter(
            manifest=manifest,
            policy=learner.policy,
            plan=learner.plan,
            network=network,
            gossip=gossip,
            tasks=tasks,
            database=database,
            steps=steps,
            clock=time.time,
            http=lambda: server.base_url,
        )
        server = StatusServer(reporter.snapshot, self._home.socket_path, self._config.observe.http)
        return _Peer(exchange, steps, server, reporter)

    async def _start_network(self) -> HivemindNetwork:
        """On the configured port, else on that of the last run if it is free, else on any."""
        config, home = self._config.network, self._home
        kept = home.read_port()
        if config.port == 0 and kept is not None and _is_free(config.host, kept):
            config = config.model_copy(update={"port": kept})
        return await HivemindNetwork.start(
            key=self._key, identity_path=home.identity_path, config=config, swarm=lambda: self._swarm_id
        )

    async def _start_worker_and_learner(
        self, stack: AsyncExitStack, manifest: Manifest
    ) -> tuple[TaskRunner, Learner]:
        """Side by side: each takes seconds, and in processes of their own."""
        stack.push_async_callback(asyncio.to_thread, self._model_thread.shutdown)
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(
                stack.enter_async_context(TaskRunner(reward=manifest.reward)), name="task worker"
            )
            learner = await asyncio.get_running_loop().run_in_executor(
                self._model_thread, load_learner, self._config, self._home, manifest, self._key.peer_id
            )
        for problem in learner.problems:
            self._warn(problem)
        plan = learner.plan
        self._events.emit(
            "plan",
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            threads=plan.threads,
            memory_limit_bytes=plan.memory_limit_bytes,
            predicted_peak_bytes=plan.predicted_peak_bytes,
            decode_tokens=plan.budgets.decode_tokens,
            train_tokens=plan.budgets.train_tokens,
            reasons=plan.reasons,
        )
        if learner.resumed_step is not None:
            self._events.emit("resumed", step=learner.resumed_step)
        return starting.result(), learner

    async def _join(
        self, network: Network, database: Database, exchange: Exchange, manifest: Manifest
    ) -> None:
        """Meet the known peers, and say how others join."""
        config = self._config.network
        known = await meet(
            config.peers,
            manifest=manifest,
            network=network,
            database=database,
            events=self._events,
            clock=time.time,
        )
        exchange.handle(AddressesRemembered(known))
        self._events.emit("join_command", command=join_command(network))
        if config.address_file is not None:
            write_addresses(config.address_file, network.addresses)

    # Running --------------------------------------------------------------------------------------

    async def _run(self, peer: _Peer) -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(peer.server.serve(), name="status")
            telling = group.create_task(self._keep_telling(peer), name="own status")
            self._intake = group.create_task(self._take_in(peer), name="exchange")
            self._steps = peer.steps
            await peer.server.started.wait()
            try:
                await peer.steps.run()
            finally:
                peer.steps.stop()
                self._intake.cancel()
                telling.cancel()
                peer.server.stop()
            await asyncio.wait([serving])
        if self._failure is not None:
            raise self._failure

    async def _take_in(self, peer: _Peer) -> None:
        """Exchange groups until cancelled. What ends this ends the daemon, but after its checkpoint."""
        try:
            await peer.exchange.run()
        except BaseExceptionGroup as failure:
            self._failure = failure
            self._events.emit("stopping", message=f"checkpointing, then ending: {_one_of(failure)}")
            peer.steps.stop()

    async def _keep_telling(self, peer: _Peer) -> None:
        """Keep gossip's idea of this peer fresh, and say what is wrong with the swarm or the way to it, once
        whenever it begins."""
        before = 0
        while True:
            peer.exchange.handle(peer.reporter.own_status())
            problems = peer.reporter.problems()
            for problem in problems if len(problems) > before else ():
                self._warn(problem)
            before = len(problems)
            await asyncio.sleep(OWN_STATUS_EVERY_S)

    def _warn(self, message: str) -> None:
        self._events.emit("warning", message=message)


def _is_free(host: str, port: int) -> bool:
    try:
        require_free_port(host, port)
    except ConfigError:
        return False
    return True


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first bug in `group`, else the first error that a person can act on."""
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
