"""Builds a peer from its parts: network, database, task worker, model. Opens them in order; runs none.

Importing this loads torch and the network, which takes seconds: `runtime` does it in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from protocol import KeyPair, Manifest, VerifiedCharter
from swarmd.config import Config
from swarmd.daemon.beginning import Beginning
from swarmd.daemon.books import past_of, require_own, settle
from swarmd.daemon.download_word import DownloadWord
from swarmd.daemon.exchange import Exchange, open_exchange
from swarmd.daemon.held_out_parts import HeldOutParts
from swarmd.daemon.joining import choose_manifest, read_invitation
from swarmd.daemon.judging import open_panel
from swarmd.daemon.learner import Learner, load_learner
from swarmd.daemon.machine_use import ServedBodies, measure
from swarmd.daemon.meeting import meet
from swarmd.daemon.news import Newsroom
from swarmd.daemon.playing import open_desk
from swarmd.daemon.recording import Recorder
from swarmd.daemon.report import Reporter, join_command, write_addresses
from swarmd.daemon.resuming import Past
from swarmd.daemon.rollouts import Rollouts
from swarmd.daemon.step_parts import Parts
from swarmd.daemon.steps import StepLoop
from swarmd.errors import NetworkError
from swarmd.finding.bootstrap import look_up_addresses, look_up_named
from swarmd.finding.lan import LocalNetwork, Self, private_ips
from swarmd.gossip import AddressesRemembered, PeersRemembered
from swarmd.judges import Panel
from swarmd.learning import group_sampler
from swarmd.network.hivemind import HivemindNetwork
from swarmd.network.interface import Network
from swarmd.network.ports import is_free
from swarmd.observe import EventLog
from swarmd.observe.sinks import open_sinks
from swarmd.people.desk import Desk
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from swarmd.storage.steps_file import StepsFile
from swarmd.tasks import (
    FOR_PEERS,
    NoHeldOutQuestionError,
    Payer,
    TaskRunner,
    TrainingDraw,
    WorkerOptions,
    find_payers,
    is_preset,
    solved_examples,
)

LOADING = "loading the model"

Watch = Callable[[], Coroutine[Any, Any, None]]
"""Something that a peer keeps doing."""


@dataclass(frozen=True)
class Peer:
    """Everything that runs once the daemon is assembled."""

    exchange: Exchange
    steps: StepLoop
    reporter: Reporter
    rollouts: Rollouts
    desk: Desk
    """Where a person may answer in this peer's name."""
    beside: Mapping[str, Watch] = field(default_factory=dict)
    """What runs beside the steps until it is cancelled, by name."""

    async def find_payers(self) -> list[Payer]:
        """The tasks of its swarm that pay for junk. Raises TaskError."""
        manifest = self.reporter.manifest
        return [] if is_preset(manifest) else await find_payers(self.reporter.tasks, manifest)


class Assembly:
    """Builds one peer, and emits a phase for each thing it does."""

    def __init__(
        self,
        config: Config,
        home: Home,
        key: KeyPair,
        events: EventLog,
        http: str | None,
        beginning: Beginning,
    ) -> None:
        self._config = config
        self._home = home
        self._beginning = beginning
        self._key = key
        self._events = events
        self._http = http
        self._manifest: Manifest | None = None
        self._peers: tuple[str, ...] = ()
        """Those that the operator named, and the author's."""
        self._served: ServedBodies
        self._model_thread = ThreadPoolExecutor(1, "model")

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        """The started parts. What was opened first is closed last: the network closes before the
        books that it fills.

        Raises SwarmdError for what a person can act on.
        """
        config, home, events = self._config, self._home, self._events
        async with AsyncExitStack() as stack:
            database, blobs = self._open_books(stack)
            self._enter("finding its swarm")
            invitation = await read_invitation(config.swarm, home)
            named = await look_up_named(config.network.peers, self._warn)
            bootstrap = await look_up_addresses(invitation.bootstrap, self._warn)
            self._peers = tuple(dict.fromkeys((*named, *bootstrap)))
            self._enter("opening the network")
            usual = home.read_usual_port() if config.network.port == 0 else None
            network = await self._start_network(usual)
            stack.push_async_callback(network.close)
            home.write_port(network.port, usual)
            manifest = await choose_manifest(
                config.swarm,
                named=invitation.named,
                home=home,
                network=network,
                peers=named,
                events=events,
                belongs_to=database.facts.swarm_id,
            )
            self._manifest = manifest
            self._keep_charter(invitation.charter, manifest)
            database.facts.set_swarm(manifest.swarm_id)
            self._served = ServedBodies(blobs.get)
            network.serve(bodies=self._served, manifest=manifest.to_bytes())
            held_out = HeldOutParts(manifest)
            tasks, learner = await self._start_worker_and_learner(
                stack, manifest, past_of(database), held_out
            )
            await self._show_examples(tasks, learner, manifest)
            panel = await open_panel(stack, tasks, manifest, config.learning, learner.plan.device, self._warn)
            database.rewind(learner.progress.step)
            # Not entered: its worker starts with the first group from another peer. A lone peer needs none.
            peers_tasks = self._task_runner(manifest, FOR_PEERS)
            stack.push_async_callback(peers_tasks.close)
            measuring_tasks = self._task_runner(manifest, FOR_PEERS)  # nor this: it starts when it is needed
            stack.push_async_callback(measuring_tasks.close)
            recorder = await self._open_recorder(stack)
            peer = self._peer(
                network,
                database,
                blobs,
                manifest,
                tasks,
                peers_tasks,
                measuring_tasks,
                learner,
                held_out,
                recorder,
                panel,
            )
            self._enter("meeting peers")
            await self._join(network, database, peer.exchange, manifest)
            yield peer

    def _keep_charter(self, charter: VerifiedCharter | None, manifest: Manifest) -> None:
        """Remember whose word counts in this swarm."""
        of_this_swarm = charter is not None and charter.charter.swarm == manifest.swarm_id
        if charter is not None and of_this_swarm and charter != self._home.charter():
            self._home.write_charter(charter)

    def _open_books(self, stack: AsyncExitStack) -> tuple[Database, BlobStore]:
        """Opened first, so that a problem with them is reported before the peer meets anybody."""
        home, storage = self._home, self._config.storage
        database = stack.enter_context(
            Database(home.database_path, pool_groups_max=storage.pool_groups_max, on_problem=self._warn)
        )
        require_own(database, home, self._key.peer_id)
        blobs = BlobStore(home.records_path, storage.records_bytes_max, on_problem=self._warn)
        settle(database, blobs, home, self._key.peer_id, now=time.time(), warn=self._warn)
        return database, blobs

    def _peer(
        self,
        network: HivemindNetwork,
        database: Database,
        blobs: BlobStore,
        manifest: Manifest,
        tasks: TaskRunner,
        peers_tasks: TaskRunner,
        measuring_tasks: TaskRunner,
        learner: Learner,
        held_out: HeldOutParts,
        recorder: Recorder,
        panel: Panel,
    ) -> Peer:
        """Wire together what was opened. Starts nothing."""
        gossip, exchange = open_exchange(
            self._key,
            manifest,
            network=network,
            verification=Verification(
                manifest=manifest, tasks=peers_tasks, unended=self._config.learning.unended, panel=panel
            ),
            database=database,
            blobs=blobs,
            events=self._events,
        )
        parts = Parts(
            config=self._config,
            manifest=manifest,
            learner=learner,
            sampler=group_sampler(self._config.learning),
            tasks=tasks,
            measuring_tasks=measuring_tasks,
            draw=TrainingDraw(
                manifest, self._key.peer_id, self._config.seed, learner.progress.questions_drawn
            ),
            held_out=held_out,
            database=database,
            exchange=exchange,
            events=self._events,
            recorder=recorder,
            use=lambda: measure(
                learner.policy.device,
                pulled_bytes=network.statistics().bytes_pulled,
                served_bytes=self._served.bytes,
            ),
            clock=time.time,
            model_thread=self._model_thread,
        )
        steps = StepLoop(parts)
        newsroom = Newsroom(self._home, network, self._events, gossip.standing)
        reporter = Reporter(
            manifest=manifest,
            policy=learner.policy,
            plan=learner.plan,
            network=network,
            gossip=gossip,
            tasks=tasks,
            peers_tasks=peers_tasks,
            database=database,
            steps=steps,
            panel=panel,
            clock=time.time,
            http=self._http,
            news=lambda: newsroom.words,
            announces=bool(self._config.network.announce),
        )
        rollouts = Rollouts(
            manifest=manifest,
            peer_id=self._key.peer_id,
            database_path=self._home.database_path,
            blobs=blobs,
            tasks=tasks,
        )
        desk = open_desk(
            self._config,
            manifest,
            exchange,
            peers_tasks,
            database,
            step=lambda: steps.progress.step,
            credit=reporter.credit,
            judges=panel,
        )
        beside: dict[str, Watch] = {
            "news": newsroom.keep_asking,
            "a person's answers": desk.keep_sending,
            "what is measured": steps.draw_what_is_measured,
        }
        if (neighbours := self._neighbours(network, manifest)) is not None:
            beside["local network"] = neighbours.run
        return Peer(exchange, steps, reporter, rollouts, desk, beside)

    def _neighbours(self, network: HivemindNetwork, manifest: Manifest) -> LocalNetwork | None:
        """Those in the local network; None if this peer is in none, or should not look."""
        ips = private_ips(network.addresses) if self._config.network.lan else []

        async def dial(addresses: Sequence[str]) -> None:
            with suppress(NetworkError):  # they are heard again
                await network.connect(addresses)

        me = Self(network.peer_id, manifest.swarm_id, network.port)
        return LocalNetwork(me, ips, dial, self._warn) if ips else None

    async def _start_network(self, usual: int | None) -> HivemindNetwork:
        """On the configured port, else on the usual one if it is free, else on any port for this run."""
        home = self._home
        config = self._config.network.model_copy(update={"peers": self._peers})
        if usual is not None and is_free(config.host, usual):
            config = config.model_copy(update={"port": usual})
        elif usual is not None:
            self._warn(
                f"port {usual}, where this peer listened before, is taken: using another until the next start"
            )
        return await HivemindNetwork.start(
            key=self._key,
            identity_path=home.identity_path,
            config=config,
            swarm=lambda: self._manifest,
            runtime=home.runtime_path,
        )

    async def _start_worker_and_learner(
        self, stack: AsyncExitStack, manifest: Manifest, past: Past, held_out: HeldOutParts
    ) -> tuple[TaskRunner, Learner]:
        """Both at once: each takes seconds, and the task worker is a process of its own. Once it is up, it
        draws the held-out questions that a new home begins with."""

        async def start_worker() -> TaskRunner:
            tasks = await stack.enter_async_context(self._task_runner(manifest))
            if past.last_step == 0 and self._config.observe.evaluate_every != 0:
                with suppress(NoHeldOutQuestionError):  # the step loop warns of it
                    await held_out.draw(tasks)
            return tasks

        self._enter(LOADING)
        self._events.emit("loading", message="the model: seconds, or minutes for a large or a new one")
        stack.callback(self._model_thread.shutdown, wait=False)  # idle by then, or nobody waits for its load
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(start_worker(), name="task worker")
            download = DownloadWord(self._events, after=LOADING, clock=time.monotonic)
            telling = group.create_task(download.keep_telling(), name="download")
            learner = await asyncio.get_running_loop().run_in_executor(
                self._model_thread,
                load_learner,
                self._config,
                self._home,
                manifest,
                self._key.peer_id,
                self._beginning,
                past,
                download.heard,
            )
            telling.cancel()
        for problem in learner.problems:
            self._warn(problem)
        plan = learner.plan
        self._events.emit(
            "plan",
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            parameters=sum(each.numel() for each in learner.policy.model.parameters()),
            lora_rank=None if plan.lora is None else plan.lora.rank,
            own_groups=self._config.learning.local,
            external_groups=self._config.learning.external,
            threads=plan.threads,
            memory_limit_bytes=plan.memory_limit_bytes,
            predicted_peak_bytes=plan.predicted_peak_bytes,
            decode_tokens=plan.budgets.decode_tokens,
            train_tokens=plan.budgets.train_tokens,
            reasons=plan.reasons,
        )
        if learner.resumed_step is not None:
            repeated = max(0, past.last_step - learner.resumed_step)
            self._events.emit("resumed", step=learner.resumed_step, steps_lost=repeated)
        return starting.result(), learner

    async def _show_examples(self, tasks: TaskRunner, learner: Learner, manifest: Manifest) -> None:
        """As many as the operator wants; if nothing is set, those that the checkpoint was trained with."""
        wanted, policy = self._config.policy.examples, learner.policy
        if wanted is None or wanted == len(policy.examples):
            return
        if learner.resumed_step:
            self._warn(
                f"{wanted} solved examples stand before each question from now on; it was trained with "
                f"{len(policy.examples)}: success before and after do not compare"
            )
        policy.examples = await solved_examples(tasks, manifest, wanted)
        if len(policy.examples) < wanted:
            self._warn(
                f"--examples {wanted}: only {len(policy.examples)} were found: the other tasks of "
                f"{manifest.name} give no answers, or their questions are long"
            )

    async def _open_recorder(self, stack: AsyncExitStack) -> Recorder:
        """In a thread, because a sink's package takes seconds to import."""
        names, home = self._config.observe.sinks, self._home
        sinks = await asyncio.to_thread(open_sinks, names, home.sinks_path, self._key.peer_id)
        recorder = Recorder(StepsFile(home.steps_path, self._warn), sinks)
        stack.callback(recorder.close)
        for sink in sinks:
            sink.warn_by(self._warn)
        return recorder

    def _task_runner(self, manifest: Manifest, options: WorkerOptions | None = None) -> TaskRunner:
        return TaskRunner(
            reward=manifest.reward,
            options=options,
            directory=self._home.runtime_path,
            on_problem=self._warn,
        )

    async def _join(
        self, network: Network, database: Database, exchange: Exchange, manifest: Manifest
    ) -> None:
        """Meet the known peers, and say how others join."""
        config = self._config.network
        acquaintances = database.acquaintances
        exchange.handle(PeersRemembered(tuple(acquaintances.all()), acquaintances.words()))
        known = await meet(
            self._peers,
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

    def _enter(self, phase: str) -> None:
        self._events.emit("phase", name=phase)

    def _warn(self, message: str) -> None:
        self._events.emit("warning", message=message)
