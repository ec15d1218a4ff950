"""Wire together what an assembly opened. Opens and starts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from protocol import KeyPair, Manifest
from swarmd.config import Config
from swarmd.daemon.exchange import Exchange, open_exchange
from swarmd.daemon.held_out_parts import HeldOutParts
from swarmd.daemon.learner import Learner
from swarmd.daemon.machine_use import MachineUse, measure
from swarmd.daemon.news import Newsroom
from swarmd.daemon.playing import open_desk
from swarmd.daemon.recording import Recorder
from swarmd.daemon.report import Reporter
from swarmd.daemon.rollouts import Rollouts
from swarmd.daemon.step_parts import Parts
from swarmd.daemon.steps import StepLoop
from swarmd.errors import NetworkError
from swarmd.finding.lan import LocalNetwork, Self, private_ips
from swarmd.gossip import Gossip
from swarmd.judges import Panel
from swarmd.learning import group_sampler
from swarmd.network.hivemind import HivemindNetwork
from swarmd.observe import EventLog
from swarmd.people.desk import Desk
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from swarmd.tasks import Payer, TaskRunner, TrainingDraw, find_payers, is_preset

Watch = Callable[[], Coroutine[Any, Any, None]]
"""Something that a peer does continuously."""


@dataclass(frozen=True)
class Peer:
    """Everything that runs once the daemon is assembled."""

    exchange: Exchange
    steps: StepLoop
    reporter: Reporter
    rollouts: Rollouts
    desk: Desk
    """Where a person can answer in this peer's name."""
    beside: Mapping[str, Watch] = field(default_factory=dict)
    """What runs in parallel with the steps until it is cancelled, by name."""

    async def find_payers(self) -> list[Payer]:
        """Return the tasks of its swarm that reward junk. Raises TaskError."""
        manifest = self.reporter.manifest
        return [] if is_preset(manifest) else await find_payers(self.reporter.tasks, manifest)


@dataclass(frozen=True)
class Wiring:
    """What was opened, in the order of opening, and the settings it was opened with."""

    config: Config
    home: Home
    key: KeyPair
    events: EventLog
    warn: Callable[[str], None]
    http: str | None
    model_thread: ThreadPoolExecutor
    database: Database
    blobs: BlobStore
    network: HivemindNetwork
    manifest: Manifest
    held_out: HeldOutParts
    tasks: TaskRunner
    learner: Learner
    panel: Panel
    peers_tasks: TaskRunner
    measuring_tasks: TaskRunner
    recorder: Recorder

    def peer(self) -> Peer:
        """Build the peer from these parts."""
        gossip, exchange = open_exchange(
            self.key,
            self.manifest,
            network=self.network,
            verification=Verification(
                manifest=self.manifest,
                tasks=self.peers_tasks,
                unended=self.config.learning.unended,
                panel=self.panel,
            ),
            database=self.database,
            blobs=self.blobs,
            events=self.events,
        )
        steps = StepLoop(self._step_parts(exchange))
        newsroom = Newsroom(self.home, self.network, self.events, gossip.standing)
        reporter = self._reporter(gossip, steps, newsroom)
        desk = open_desk(
            self.config,
            self.manifest,
            exchange,
            self.peers_tasks,
            self.database,
            step=lambda: steps.progress.step,
            credit=reporter.credit,
            judges=self.panel,
        )
        beside: dict[str, Watch] = {
            "news": newsroom.keep_asking,
            "a person's answers": desk.keep_sending,
            "what is measured": steps.draw_what_is_measured,
        }
        if (neighbours := self._neighbours()) is not None:
            beside["local network"] = neighbours.run
        return Peer(exchange, steps, reporter, self._rollouts(), desk, beside)

    def _step_parts(self, exchange: Exchange) -> Parts:
        learner = self.learner
        return Parts(
            config=self.config,
            manifest=self.manifest,
            learner=learner,
            sampler=group_sampler(self.config.learning),
            tasks=self.tasks,
            measuring_tasks=self.measuring_tasks,
            draw=TrainingDraw(
                self.manifest, self.key.peer_id, self.config.seed, learner.progress.questions_drawn
            ),
            held_out=self.held_out,
            database=self.database,
            exchange=exchange,
            events=self.events,
            recorder=self.recorder,
            use=self._use,
            clock=time.time,
            model_thread=self.model_thread,
        )

    def _use(self) -> MachineUse:
        traffic = self.network.statistics()
        return measure(
            self.learner.policy.device,
            pulled_bytes=traffic.bytes_pulled,
            served_bytes=traffic.bytes_served,
        )

    def _reporter(self, gossip: Gossip, steps: StepLoop, newsroom: Newsroom) -> Reporter:
        return Reporter(
            manifest=self.manifest,
            policy=self.learner.policy,
            plan=self.learner.plan,
            network=self.network,
            gossip=gossip,
            tasks=self.tasks,
            peers_tasks=self.peers_tasks,
            database=self.database,
            steps=steps,
            panel=self.panel,
            clock=time.time,
            http=self.http,
            news=lambda: newsroom.words,
            announces=bool(self.config.network.announce),
        )

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            manifest=self.manifest,
            peer_id=self.key.peer_id,
            database_path=self.home.database_path,
            blobs=self.blobs,
            tasks=self.tasks,
        )

    def _neighbours(self) -> LocalNetwork | None:
        """Return the discovery of peers in the local network; None if this peer should not look."""
        if not self.config.network.lan:
            return None
        network = self.network

        async def dial(addresses: Sequence[str]) -> None:
            with suppress(NetworkError):  # they announce themselves again
                await network.connect(addresses)

        me = Self(network.peer_id, self.manifest.swarm_id, network.port)
        return LocalNetwork(me, lambda: private_ips(network.addresses), dial, self.warn)
