"""Draws from the pool for a step: selects the candidates, and tells the sampler what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import Manifest, PeerId
from swarmd.groups import ScoredGroup
from swarmd.learning import DrawContext, GroupSampler
from swarmd.step.progress import Progress
from swarmd.step.shares import Shares
from swarmd.storage import Pool

EXTERNAL_AGE_S_MAX = 300.0  # the lifetime of a record; older groups differ too much from this policy
ANSWERS_STUDIED = 64  # per supervised update; the specialists of the experiments were trained with as many
CANDIDATES_MAX = 128  # groups read from the pool per step; a sampler needs a choice, not the whole pool


class Candidates(Protocol):
    """The part of `swarmd.storage.Pool` needed here."""

    def candidates(
        self, min_round: int, limit: int, *, informative_only: bool = False
    ) -> Sequence[ScoredGroup]: ...


class SharedOut:
    """A peer's pool, read in the proportions set by `Shares`, so that a flood of groups hides no others."""

    def __init__(self, pool: Pool, shares: Shares) -> None:
        self._pool = pool
        self._shares = shares

    def candidates(
        self, min_round: int, limit: int, *, informative_only: bool = False
    ) -> Sequence[ScoredGroup]:
        choose = self._shares.choose
        return self._pool.candidates(min_round, limit, informative_only=informative_only, choose=choose)


class Trust(Protocol):
    """How far publishers are trusted."""

    def trust(self, peer: PeerId) -> float:
        """In [0, 1]: 0 means ignored, 1 means fully trusted."""
        ...


@dataclass(frozen=True)
class Drawn:
    """What a step gets from the pool."""

    groups: list[ScoredGroup]
    other_tokenizer: int
    """Candidates left out because the external loss needs groups with this peer's tokenizer."""
    lessons: list[ScoredGroup]
    """Groups with right answers to train on again."""


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
    spread_only: bool = False,
    rehearse: int = 0,
    watch: bool = False,
    shares: Shares | None = None,
    has_own: bool = True,
) -> Drawn:
    """Draw up to `wanted` groups from the pool. Does not mark them as used.

    `tokenizer`: draw only groups written with it; None for all. `bare_only`: draw only groups with a bare
    answer, because no other group teaches if training is limited to verified text, and drop answers that are
    too frequent for their task. `spread_only`: draw only groups whose rewards differ, because in other groups
    no completion has an advantage over the mean.
    `rehearse`: the maximum number of lessons. `watch`: record what other peers show per task family, for
    drawing own questions by need. `shares`: how parties share the draw; None if all peers are honest.
    `has_own`: whether the step has own groups. With neither own nor external groups it does not train, so it
    uses no lesson.

    Groups by publishers that are not trusted are left out. Those that this peer had trained on before it
    banned their publisher are unused again when it resumes from an earlier step.
    """
    oldest = round_ - int(EXTERNAL_AGE_S_MAX // manifest.round_seconds) - 1
    read = pool.candidates(oldest, CANDIDATES_MAX, informative_only=True)
    trust_in = _trust_in(exchange)
    trust = {publisher: trust_in(publisher) for publisher in {group.publisher for group in read}}
    fresh = [group for group in read if trust[group.publisher] > 0]
    party_of = str if shares is None else shares.party_name
    if watch:
        progress.shown.see(fresh, party_of)
    readable = [group for group in fresh if tokenizer is None or group.tokenizer == tokenizer]
    candidates = [
        group
        for group in readable
        if (group.has_bare_answer or not bare_only) and (group.is_informative or not spread_only)
    ]
    if bare_only:
        candidates = progress.drawn_answers.without_frequent(candidates, progress.drawing_rng, party_of)
    experience = progress.experience
    context = DrawContext(
        round=round_,
        round_seconds=manifest.round_seconds,
        success=experience.success,
        own_surprisal=experience.own_surprisal,
        surprisal=experience.surprisal,
        trust=trust,
    )
    if shares is None:
        groups = sampler.draw(candidates, wanted, progress.drawing_rng, context)
    else:
        groups = shares.draw(candidates, wanted, sampler, progress.drawing_rng, context)
    lessons = progress.rehearsal.draw(
        rehearse if has_own or groups else 0,
        tasks=[task.task_id for task in manifest.tasks],
        own=experience.success,
        others=experience.others,
        trust=trust_in,
        rng=progress.drawing_rng,
    )
    return Drawn(groups, other_tokenizer=len(fresh) - len(readable), lessons=lessons)


def draw_studied(
    updates: int, *, manifest: Manifest, exchange: Trust, progress: Progress
) -> list[list[ScoredGroup]]:
    """Draw what each of at most `updates` supervised updates studies."""
    return progress.study.draw(
        updates,
        ANSWERS_STUDIED,
        tasks=[task.task_id for task in manifest.tasks],
        trust=_trust_in(exchange),
        rng=progress.drawing_rng,
    )


def _trust_in(exchange: Trust) -> Callable[[str], float]:
    """How far a publisher is trusted, by its id as text."""
    return lambda publisher: exchange.trust(PeerId(publisher))
