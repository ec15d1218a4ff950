"""A peer whose step loop a test can run: tiny model, known tasks, real storage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from swarmd.config import Config, LearningConfig, ObserveConfig, PolicyConfig, StorageConfig
from swarmd.daemon.exchange import Exchange
from swarmd.daemon.held_out_parts import HeldOutParts
from swarmd.daemon.learner import Learner
from swarmd.daemon.machine_use import MachineUse
from swarmd.daemon.recording import Recorder
from swarmd.daemon.step_parts import Parts
from swarmd.daemon.steps import StepLoop
from swarmd.hardware.plan import HardwarePlan
from swarmd.learning import GroupSampler, Trainer, UniformSampler
from swarmd.policy import Policy
from swarmd.step import progress as saved_progress
from swarmd.step.progress import Progress
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.steps_file import StepsFile
from swarmd.tasks import TrainingDraw
from tests.daemon.fakes import (
    Events,
    KnownTasks,
    ScriptedGossip,
    ScriptedNetwork,
    every_other,
)
from tests.gossip.making import START, key, make_manifest

StopAt = Callable[[str, dict[str, Any]], bool]
"""(event, its fields) -> whether this is the moment to stop."""

MANIFEST = make_manifest()
ROUND = MANIFEST.round_at(START)


class Peer:
    """A step loop with a tiny model, known tasks and real storage."""

    def __init__(self, home: Home, database: Database, policy: Policy, events: Events, **given: Any) -> None:
        storage = StorageConfig(checkpoint_every=given.pop("checkpoint_every", 1))
        observe = ObserveConfig(evaluate_every=given.pop("evaluate_every", 0))
        steps = given.pop("steps", None)
        policy_config = PolicyConfig(duty=given.pop("duty", 1.0))
        learning = LearningConfig(**{"local": 2, "external": 0, "group_size": 2, "warmup_steps": 0} | given)
        self.config = Config(
            home=home.path,
            steps=steps,
            policy=policy_config,
            learning=learning,
            storage=storage,
            observe=observe,
        )
        self.gossip, self.tasks = ScriptedGossip(), KnownTasks(every_other)
        self.database, self.policy, self.events = database, policy, events
        self.progress = Progress.fresh(5)
        self.learner = Learner(
            plan=HardwarePlan("tiny", "cpu", "float32", 1, None, ()),
            config=self.config.policy,
            policy=policy,
            trainer=Trainer(policy, learning),
            progress=self.progress,
            checkpoints=Checkpoints(home.checkpoints_path, 3),
            peer_id=key(1).peer_id,
            resumed_step=None,
            checkpoint_bytes=0,
            problems=(),
        )
        self.sampler: GroupSampler = UniformSampler()
        self.exchange = Exchange(
            gossip=self.gossip,
            network=ScriptedNetwork(key(1).peer_id),
            verification=Verification(manifest=MANIFEST, tasks=self.tasks),
            database=database,
            blobs=BlobStore(home.records_path, 2**20),
            events=events,
            clock=lambda: START,
        )

    def resume(self) -> None:
        checkpoint = self.learner.checkpoints.load_latest()
        assert checkpoint is not None
        saved_progress.resume(checkpoint, self.progress, self.policy, self.learner.trainer)

    def loop(self, model_thread: ThreadPoolExecutor) -> StepLoop:
        return StepLoop(
            Parts(
                config=self.config,
                manifest=MANIFEST,
                learner=self.learner,
                sampler=self.sampler,
                tasks=self.tasks,
                measuring_tasks=self.tasks,
                draw=TrainingDraw(MANIFEST, key(1).peer_id, 0, self.progress.questions_drawn),
                held_out=HeldOutParts(MANIFEST),
                database=self.database,
                exchange=self.exchange,
                events=self.events,
                recorder=Recorder(StepsFile(self.config.home / "steps.jsonl")),
                use=lambda: MachineUse(1_000, None, 20, 30),
                clock=lambda: START,
                model_thread=model_thread,
            )
        )

    def saved(self) -> list[int]:
        """Steps of the checkpoints there are, oldest first."""
        paths = sorted(self.config.home.joinpath("checkpoints").iterdir())
        return [int(path.name.rpartition("-")[2]) for path in paths]
