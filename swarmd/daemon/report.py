"""What the daemon says about itself: the snapshot for `swarmd status`, and the status that other peers
see.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from protocol import ADDRESSES_MAX, CREDITS_MAX, Manifest, PeerId
from protocol.limits import MILLI
from swarmd import __version__
from swarmd.daemon.company import company, credible, hearing, helping, judgement
from swarmd.daemon.credit_view import credit_view, signed_credits
from swarmd.daemon.encounters import counting
from swarmd.daemon.health import NO_ADDRESS, frozen, outages
from swarmd.daemon.judging import judge_views
from swarmd.daemon.own_groups import UNSCORED_TOLD
from swarmd.daemon.reaching import reach_view
from swarmd.daemon.saving import DAY_S
from swarmd.daemon.steps import StepLoop
from swarmd.errors import ConfigError
from swarmd.gossip import Gossip, OwnStatus
from swarmd.hardware.plan import HardwarePlan
from swarmd.judges import Panel
from swarmd.network.interface import Network
from swarmd.observe import (
    Disk,
    Groups,
    Health,
    LastStep,
    Memory,
    ReachView,
    Reward,
    StatusSnapshot,
    StepLine,
    Traffic,
)
from swarmd.observe.credit import Credit
from swarmd.policy import Policy
from swarmd.storage import Database
from swarmd.storage.partners import Partner
from swarmd.tasks import TaskRunner

PACE_S_MIN = 60.0  # seconds of work before the pace is shown: earlier, the first save weighs too much
CURVE_STEPS = 200  # steps in the curve of the status page
STALLED_STEPS = 10.0  # a phase that takes this many times its usual time is reported as stalled ...
STALLED_S_MIN = 300.0  # ... but not before five minutes: the first steps have nothing to be compared with


@dataclass(frozen=True)
class Reporter:
    """Reads the parts; changes none of them."""

    manifest: Manifest
    policy: Policy
    plan: HardwarePlan
    network: Network
    gossip: Gossip
    tasks: TaskRunner
    peers_tasks: TaskRunner
    database: Database
    steps: StepLoop
    clock: Callable[[], float]
    http: str | None
    monotonic: Callable[[], float] = time.monotonic
    news: Callable[[], str | None] = lambda: None
    """What to say about a newer version of the swarm."""
    panel: Panel | None = None
    """The judges, if the manifest names any."""
    announces: bool = False
    """Whether the operator set the addresses to announce."""
    started_at: float = field(default_factory=time.monotonic)
    """Monotonic, like `StepLoop.last_done_at`: a corrected wall clock must not look like a stall."""

    def snapshot(self) -> StatusSnapshot:
        """Return the whole state at this moment."""
        now, lora = self.clock(), self.plan.lora
        rewards, counts = self.database.steps.rewards(), self.database.ledger.counts()
        gossip, network, use = self.gossip.statistics(), self.network.statistics(), self.steps.use()
        partners = credible(self.database.partners.all(), counts.published)
        left = gossip.left - network.connections.keys()
        return StatusSnapshot(
            health=self.health(),
            peer_id=self.network.peer_id,
            swarm=self.manifest.name,
            swarm_id=self.manifest.swarm_id.hex(),
            round=self.manifest.round_at(now),
            step=self.steps.progress.step,
            phase=self.steps.phase,
            uptime_s=self.monotonic() - self.started_at,
            model=self.plan.model,
            device=self.plan.device,
            dtype=self.plan.dtype,
            lora=None if lora is None else f"r={lora.rank},alpha={lora.alpha}",
            addresses=self.network.addresses,
            http=self.http,
            reward=Reward(last=rewards.last, mean_20=rewards.mean_20, best_20=rewards.best_20),
            evaluation=self.steps.progress.evaluation,
            learning=self.steps.learning(),
            last_step=_last_step(self.steps.recorder.last),
            durations=self.steps.recorder.durations.view(),
            tokens_generated=self.steps.recorder.tokens_generated,
            memory=Memory(
                process=use.memory_bytes, device=use.device_memory_bytes, limit=self.plan.memory_limit_bytes
            ),
            traffic=Traffic(pulled_bytes=use.pulled_bytes, served_bytes=use.served_bytes),
            reach=self.reach(),
            groups=Groups(
                own=counts.own,
                published=counts.published,
                pulled=counts.pulled,
                external_used=counts.external_used,
                rejected=dict(counts.rejected),
            ),
            judges=() if self.panel is None else judge_views(self.panel),
            helping=helping(counts.published, partners, now, left),
            hearing=hearing(partners, now, left),
            credit=self.credit(partners),
            plays=True,
            peers=company(
                gossip.peers, partners, self.database.ledger.by_publisher(), network.connections, now=now
            ),
            judgement=judgement(gossip, network),
            disk=self._disk(),
            pid=os.getpid(),
            steps_per_minute=60 / self.steps.step_every_s if self.steps.step_every_s else None,
            tokens_per_s=self.steps.tokens_per_s,
            plan=self.plan.reasons,
            news=self.news(),
            sandbox=self.tasks.sandbox_report(),
            join_command=join_command(self.network),
            reward_history=tuple(reward for _, reward in self.database.steps.curve(CURVE_STEPS)),
        )

    def reach(self) -> ReachView:
        """How other peers reach this one, and what to do about it."""
        network = self.network.statistics()
        return reach_view(network.reach, network.ways, announces=self.announces)

    def credit(self, partners: Mapping[str, Partner] | None = None) -> Credit:
        """Return who taught whom, as measured here and by other peers. `partners`, if already read."""
        rows = self.database.credits.all()
        known = self.database.partners.all() if partners is None else partners
        return credit_view(rows, known, self.gossip.party, self.steps.crediting_share)

    def own_status(self) -> OwnStatus:
        """Return what other peers see of this one."""
        counts, rewards = self.database.ledger.counts(), self.database.steps.rewards()
        evaluation = self.steps.progress.evaluation
        return OwnStatus(
            addresses=self.network.addresses[:ADDRESSES_MAX],
            step=self.steps.progress.step,
            phase=self.steps.phase,
            model=self.policy.family,
            device=self.plan.device,
            reward_mean_milli=round(MILLI * (rewards.mean_20 or 0.0)),
            groups_own=counts.own,
            groups_published=counts.published,
            groups_pulled=counts.pulled,
            groups_external_used=counts.external_used,
            agent=f"swarmd/{__version__}",
            eval_milli=None if evaluation is None else round(MILLI * evaluation.success),
            credits=signed_credits(self.database.credits.all()[:CREDITS_MAX]),
            used={PeerId(peer): groups for peer, groups in self.database.partners.groups_used().items()},
        )

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the swarm, the connection to it or this peer's pace, and what to do; empty if
        nothing is. Each is also logged as a warning when it begins.
        """
        network, gossip = self.network.statistics(), self.gossip.statistics()
        left = {*gossip.left, *counting(self.database.facts.goodbyes, self.clock())}
        return (
            *(network.problems or gossip.problems),
            *outages(network, left, started_at=self.started_at, now=self.monotonic()),
            *(text for name, worker in self._workers() for text in frozen(worker.waiting_s, name)),
            *self._stalled(),
        )

    def _stalled(self) -> Iterator[str]:
        silent = self.monotonic() - self.steps.last_done_at
        if silent > max(STALLED_S_MIN, STALLED_STEPS * self.steps.usual_s):
            now = f"now: {self.steps.phase}"
            yield f"no step for {silent:.0f} s ({now}); `swarmd events` shows what came before"

    def _workers(self) -> tuple[tuple[str, TaskRunner], ...]:
        return ("own groups", self.tasks), ("the groups of others", self.peers_tasks)

    def _disk(self) -> Disk:
        saves, uptime = self.steps.saves, self.monotonic() - self.started_at
        written = max(_written_bytes(), saves.bytes_written)
        return Disk(
            written_bytes=written,
            checkpoint_bytes=saves.bytes_written,
            bytes_a_day=written / uptime * DAY_S if uptime >= PACE_S_MIN else None,
            save_every_s=saves.interval_s,
            saved_step=self.steps.progress.saved_step,
        )

    def health(self) -> Health:
        """Return whether the peer does its work and, if not, why and what to do."""
        reasons = list(self.problems())
        if not self.network.addresses:
            reasons.append(NO_ADDRESS)
        reasons += self.steps.lacks
        if self.steps.unscored > UNSCORED_TOLD:
            reasons.append(
                f"{self.steps.unscored:.0%} of the last completions could not be scored and count as wrong; "
                "see the log"
            )
        return Health(ok=not reasons, reasons=tuple(reasons))


def _written_bytes() -> int:
    """Bytes that this process wrote to disk; 0 if the system does not count them (macOS), or if the disk is
    in memory.
    """
    process = psutil.Process()
    try:
        return int(process.io_counters().write_bytes) if hasattr(process, "io_counters") else 0
    except psutil.AccessDenied:  # in some containers
        return 0


def join_command(network: Network) -> str | None:
    """Return the command with which another machine joins through this peer; None while it has no address."""
    addresses = network.addresses
    return f"swarmd join --peer {addresses[0]}" if addresses else None


def write_addresses(path: Path, addresses: Sequence[str]) -> None:
    """Write one address per line, for other peers' `--peer @FILE`. Raises ConfigError if the file cannot be
    written.
    """
    try:
        path.write_text("".join(f"{address}\n" for address in addresses), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"--address-file {path} cannot be written ({error.strerror}): choose another file"
        ) from error


def _last_step(line: StepLine | None) -> LastStep:
    if line is None:
        return LastStep()
    return LastStep(
        loss=line.loss,
        reward_external=line.reward_external,
        entropy=line.entropy,
        completion_tokens_mean=line.completion_tokens_mean,
        completions_finished=line.completions_finished,
    )
