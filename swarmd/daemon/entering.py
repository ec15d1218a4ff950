"""Record a finished step: the groups it used, its metrics, its line in the log, the event for people."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmd.daemon.machine_use import MachineUse
from swarmd.daemon.recording import Recorder
from swarmd.groups import ScoredGroup
from swarmd.learning import StepMetrics
from swarmd.observe import EventLog, StepLine
from swarmd.storage import Database


@dataclass(frozen=True)
class Finished:
    """A finished step, and what it used."""

    step: int
    round: int
    metrics: StepMetrics
    external: Sequence[ScoredGroup]
    """External groups that it drew; `metrics` says which of them it trained on."""
    completions: int
    """Completions of own groups."""
    finished: int
    """Own completions that ended by themselves."""
    tokens: int
    """Tokens generated."""
    tokens_per_s: float | None
    seconds: float
    phase_seconds: Mapping[str, float]
    use: MachineUse
    held_out_success: float | None
    at: float
    """Unix time in seconds."""

    @property
    def trained(self) -> list[ScoredGroup]:
        """External groups that it trained on: none in a step that studies, and none that are too long."""
        return [self.external[n] for n in self.metrics.external_used]


def enter_step(database: Database, events: EventLog, recorder: Recorder, done: Finished) -> None:
    """Record one step everywhere."""
    metrics = done.metrics
    line = _line(done)
    digests = [group.digest for group in done.external if group.digest is not None]
    untrained = set(digests) - {group.digest for group in done.trained}
    fields = {
        **dataclasses.asdict(metrics),
        "round": done.round,
        "external_peers": line.external_peers,
        "tokens_generated": done.tokens,
        "seconds": done.seconds,
        "tokens_per_s": done.tokens_per_s,
    }
    with database.transaction():
        database.pool.mark_used(digests, done.step, now=done.at, untrained=untrained)
        database.partners.used(Counter(group.publisher for group in done.trained), now=done.at)
        database.steps.record(done.step, reward=metrics.reward_own, metrics=fields, now=done.at)
    recorder.record(line)
    events.emit(
        "step",
        step=done.step,
        round=done.round,
        reward=metrics.reward_own,
        reward_external=metrics.reward_external,
        loss=metrics.loss,
        own=metrics.groups_own,
        external=len(done.trained),
        external_peers=line.external_peers,
        tokens_per_s=done.tokens_per_s,
        seconds=done.seconds,
        note=metrics.note,
    )


def _line(done: Finished) -> StepLine:
    metrics, use = done.metrics, done.use
    return StepLine(
        step=done.step,
        round=done.round,
        time=done.at,
        reward_own=metrics.reward_own,
        reward_external=metrics.reward_external,
        loss=metrics.loss,
        entropy=metrics.entropy,
        kl=metrics.kl,
        grad_norm=metrics.grad_norm,
        learning_rate=metrics.learning_rate,
        completion_tokens_mean=done.tokens / done.completions if done.completions else None,
        completions_finished=done.finished / done.completions if done.completions else None,
        groups_own=metrics.groups_own,
        groups_own_used=metrics.groups_own_used,
        groups_external=metrics.groups_external,
        groups_external_used=metrics.groups_external_used,
        updates=metrics.updates,
        lessons=metrics.lessons,
        external_peers=len({group.publisher for group in done.trained}),
        seconds=done.seconds,
        phase_seconds={phase: round(seconds, 6) for phase, seconds in done.phase_seconds.items()},
        tokens_generated=done.tokens,
        tokens_per_s=done.tokens_per_s,
        memory_bytes=use.memory_bytes,
        device_memory_bytes=use.device_memory_bytes,
        pulled_bytes=use.pulled_bytes,
        served_bytes=use.served_bytes,
        held_out_success=done.held_out_success,
        note=metrics.note,
    )
