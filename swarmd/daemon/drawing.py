"""From the pool to a step: the external groups that are candidates, and what the sampler is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import Manifest, PeerId
from swarmd.daemon.progress import Progress
from swarmd.daemon.shares import Shares
from swarmd.learning import DrawContext, GroupSampler, ScoredGroup
from swarmd.storage import Pool

EXTERNAL_AGE_S_MAX = 300.0  # groups of older rounds are far from this policy; as long as a record lives
CANDIDATES_MAX = 128  # groups read from the pool a step; a sampler needs a choice, not the whole pool


class Candidates(Protocol):
    """Groups that wait to be drawn, in an experiment."""

    def candidates(
        self, min_round: int, limit: int, *, informative_only: bool = False
    ) -> Sequence[ScoredGroup]: ...


class SharedOut:
    """A peer's pool, read as `Shares` says: what a flood put there hides nobody."""

    def __init__(self, pool: Pool, shares: Shares) -> None:
        self._pool = pool
        self._shares = shares

    def candidates(
        self, min_round: int, limit: int, *, informative_only: bool = False
    ) -> Sequence[ScoredGroup]:
        choose = self._shares.choose
        return self._pool.candidates(min_round, limit, informative_only=informative_only, choose=choose)


class Trust(Protocol):
    """The part of `swarmd.daemon.exchange.Exchange` that is needed."""

    def trust(self, peer: PeerId) -> float: ...


@dataclass(frozen=True)
class Drawn:
    """What a step gets of the pool."""

    groups: list[ScoredGroup]
    other_tokenizer: int
    """Candidates left out because the external loss compares tokens one by one."""


def draw_external(
    wanted: int,
    *,
    round_: int,
    manifest: Manifest,
    pool: Candidates,
    sampler: GroupSampler,
    exchange: Trust,
    progress: Progress,
    tokenizer: bytes | None = None,
    bare_only: bool = False,
    shares: Shares | None = None,
) -> Drawn:
    """Up to `wanted` groups of the pool, fewer if it has not got them. Marks none as used.

    `tokenizer`, where given: only groups that were written with it. `bare_only`: only groups with a bare
    answer, as no other teaches where only what was verified is trained on. `shares`: how parties share the
    draw; None where all peers are honest.
    """
    oldest = round_ - int(EXTERNAL_AGE_S_MAX // manifest.round_seconds) - 1
    fresh = pool.candidates(oldest, CANDIDATES_MAX, informative_only=True)
    readable = [group for group in fresh if tokenizer is None or group.tokenizer == tokenizer]
    candidates = [group for group in readable if group.has_bare_answer or not bare_only]
    experience = progress.experience
    context = DrawContext(
        round=round_,
        round_seconds=manifest.round_seconds,
        success=experience.success,
        own_surprisal=experience.own_surprisal,
        surprisal=experience.surprisal,
        trust={
            publisher: exchange.trust(PeerId(publisher))
            for publisher in {group.publisher for group in candidates}
        },
    )
    if shares is None:
        groups = sampler.draw(candidates, wanted, progress.rng, context)
    else:
        groups = shares.draw(candidates, wanted, sampler, progress.rng, context)
    return Drawn(groups, other_tokenizer=len(fresh) - len(readable))
