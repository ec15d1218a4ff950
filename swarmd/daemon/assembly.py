"""Build a peer from its parts: network, database, task worker, model. Opens them in order; runs none of them.

Importing this module loads torch and the network, which takes seconds, so `runtime` imports it in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from protocol import KeyPair, Manifest, VerifiedCharter
from swarmd.config import Config
from swarmd.daemon.beginning import Beginning
from swarmd.daemon.books import past_of, require_own, settle
from swarmd.daemon.download_word import DownloadWord
from swarmd.daemon.exchange import Exchange
from swarmd.daemon.held_out_parts import HeldOutParts
from swarmd.daemon.joining import choose_manifest, read_invitation
from swarmd.daemon.judging import open_panel
from swarmd.daemon.learner import Learner, load_learner
from swarmd.daemon.meeting import meet
from swarmd.daemon.recording import Recorder
from swarmd.daemon.refusing import require_tasks
from swarmd.daemon.report import join_command, write_addresses
from swarmd.daemon.resuming import Past
from swarmd.daemon.wiring import Peer, Wiring
from swarmd.finding.bootstrap import look_up_addresses, look_up_named
from swarmd.gossip import AddressesRemembered, PeersRemembered
from swarmd.network.hivemind import HivemindNetwork
from swarmd.network.interface import Network
from swarmd.observe import EventLog
from swarmd.observe.sinks import open_sinks
from swarmd.storage import BlobStore, Database, Home
from swarmd.storage.steps_file import StepsFile
from swarmd.tasks import (
    FOR_PEERS,
    NoHeldOutQuestionError,
    TaskRunner,
    WorkerOptions,
    solved_examples,
)

LOADING = "loading the model"


class Assembly:
    """Builds one peer, and emits a phase event for each part it opens."""

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
        """Bootstrap addresses: those the operator named, then the author's."""
        self._model_thread = ThreadPoolExecutor(1, "model")

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        """Yield the parts, started. They are closed in reverse order, so the network closes before the
        databases it writes to.

        Raises SwarmdError for problems the operator can fix.
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
            network.serve(bodies=blobs.get, manifest=manifest.to_bytes())
            held_out = HeldOutParts(manifest)
            tasks, learner = await self._start_worker_and_learner(
                stack, manifest, past_of(database), held_out
            )
            await self._show_examples(tasks, learner, manifest)
            panel = await open_panel(stack, tasks, manifest, config.learning, learner.plan.device, self._warn)
            await self._keep_continuation(learner, database)
            database.rewind(learner.progress.step)
            # Not entered: its worker starts when the first group from another peer arrives. A peer that
            # trains alone needs none.
            peers_tasks = self._task_runner(manifest, FOR_PEERS)
            stack.push_async_callback(peers_tasks.close)
            measuring_tasks = self._task_runner(manifest, FOR_PEERS)  # not entered either: started on demand
            stack.push_async_callback(measuring_tasks.close)
            recorder = await self._open_recorder(stack)
            peer = Wiring(
                config=config,
                home=home,
                key=self._key,
                events=events,
                warn=self._warn,
                http=self._http,
                model_thread=self._model_thread,
                database=database,
                blobs=blobs,
                network=network,
                manifest=manifest,
                held_out=held_out,
                tasks=tasks,
                learner=learner,
                panel=panel,
                peers_tasks=peers_tasks,
                measuring_tasks=measuring_tasks,
                recorder=recorder,
            ).peer()
            self._enter("meeting peers")
            await self._join(network, database, peer.exchange, manifest)
            yield peer

    async def _keep_continuation(self, learner: Learner, database: Database) -> None:
        """Save what continues from a named checkpoint before the history after it is dropped: after a kill in
        between, the home resumes from there.
        """
        step, facts = learner.progress.step, database.facts
        if learner.progress.saved_step < 0:
            if (facts.saved_step or 0) > step:  # after a kill, a later step would seem lost
                facts.set_saved_step(step)
            await asyncio.get_running_loop().run_in_executor(self._model_thread, learner.save)
            facts.set_saved_step(step)

    def _keep_charter(self, charter: VerifiedCharter | None, manifest: Manifest) -> None:
        """Remember which author's charter governs this swarm."""
        of_this_swarm = charter is not None and charter.charter.swarm == manifest.swarm_id
        if charter is not None and of_this_swarm and charter != self._home.charter():
            self._home.write_charter(charter)

    def _open_books(self, stack: AsyncExitStack) -> tuple[Database, BlobStore]:
        """Open the database and the blob store. They come first, so that a problem with them is reported
        before the peer contacts anyone.
        """
        home, storage = self._home, self._config.storage
        database = stack.enter_context(
            Database(home.database_path, pool_groups_max=storage.pool_groups_max, on_problem=self._warn)
        )
        require_own(database, home, self._key.peer_id)
        blobs = BlobStore(home.records_path, storage.records_bytes_max, on_problem=self._warn)
        settle(database, blobs, home, self._key.peer_id, now=time.time(), warn=self._warn)
        return database, blobs

    async def _start_network(self, usual: int | None) -> HivemindNetwork:
        """Listen on the configured port, else on the usual one if it is free, else on any port for this
        run.
        """
        network = await HivemindNetwork.start(
            key=self._key,
            identity_path=self._home.identity_path,
            config=self._config.network.model_copy(update={"peers": self._peers}),
            swarm=lambda: self._manifest,
            runtime=self._home.runtime_path,
            usual_port=usual,
        )
        if usual not in (None, network.port):
            self._warn(f"port {usual}, which this peer used before, is not free: another one is used")
        return network

    async def _start_worker_and_learner(
        self, stack: AsyncExitStack, manifest: Manifest, past: Past, held_out: HeldOutParts
    ) -> tuple[TaskRunner, Learner]:
        """Start both at once, because each takes seconds and the task worker is a separate process. The
        worker, once it is up, draws the held-out questions that a new home needs first.
        """

        async def start_worker() -> TaskRunner:
            tasks = await stack.enter_async_context(self._task_runner(manifest))
            await require_tasks(tasks, manifest, self._home.path, self._warn)
            if past.last_step == 0 and self._config.observe.evaluate_every != 0:
                with suppress(NoHeldOutQuestionError):  # the step loop warns about it
                    await held_out.draw(tasks)
            return tasks

        self._enter(LOADING)
        self._events.emit("loading", message="the model: some seconds, or minutes if it is large or new")
        stack.callback(self._model_thread.shutdown, wait=False)  # an unfinished load is abandoned
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
        """Set the number of solved examples: the operator's setting, else the number the checkpoint was
        trained with.
        """
        wanted, policy = self._config.policy.examples, learner.policy
        if wanted is None or wanted == len(policy.examples):
            return
        if learner.resumed_step:
            self._warn(
                f"{wanted} solved examples precede each question from now on; the weights were trained with "
                f"{len(policy.examples)}: success before and after cannot be compared"
            )
        policy.examples = await solved_examples(tasks, manifest, wanted)
        if len(policy.examples) < wanted:
            self._warn(
                f"--examples {wanted}: only {len(policy.examples)} were found, because the other tasks of "
                f"{manifest.name} give no answers or have long questions"
            )

    async def _open_recorder(self, stack: AsyncExitStack) -> Recorder:
        """Open the sinks in a thread, because importing a sink's package takes seconds."""
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
        """Dial the known peers, and report how other peers can join."""
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
