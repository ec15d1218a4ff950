"""Enters a finished step in the books: the groups it used up, its metrics, and the event for people."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from swarmd.groups import ScoredGroup
from swarmd.learning import StepMetrics
from swarmd.observe import EventLog
from swarmd.storage import Database


def account_step(
    database: Database,
    events: EventLog,
    metrics: StepMetrics,
    *,
    step: int,
    round_: int,
    external: Sequence[ScoredGroup],
    tokens: int,
    tokens_per_s: float | None,
    seconds: float,
    now: float,
) -> None:
    """Record one step. `external`: the groups it trained on. `tokens`: how many it generated."""
    peers = len({group.publisher for group in external})
    digests = [group.digest for group in external if group.digest is not None]
    fields = {
        **dataclasses.asdict(metrics),
        "round": round_,
        "external_peers": peers,
        "tokens_generated": tokens,
        "seconds": seconds,
        "tokens_per_s": tokens_per_s,
    }
    with database.transaction():
        database.pool.mark_used(digests, step, now=now)
        database.partners.used(Counter(group.publisher for group in external), now=now)
        database.steps.record(step, reward=metrics.reward_own, metrics=fields, now=now)
    events.emit(
        "step",
        step=step,
        round=round_,
        reward=metrics.reward_own,
        reward_external=metrics.reward_external,
        loss=metrics.loss,
        own=metrics.groups_own,
        external=len(digests),
        external_peers=peers,
        tokens_per_s=tokens_per_s,
        seconds=seconds,
        note=metrics.note,
    )
