"""Runs one attack: a pair under attack, a pair left alone, and the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from swarmd.tasks import load_manifest
from tests.hostile import acting
from tests.hostile.daemons import Pair, Seen, warm
from tests.hostile.figures import Figure
from tests.hostile.scene import Attack, Check, Counts, Evidence
from tests.hostile.swarms import written


@dataclass(frozen=True)
class Outcome:
    """What became of an attack."""

    name: str
    what: str
    figures: tuple[Figure, ...]
    did: Counts = field(default_factory=dict)
    notes: dict[str, object] = field(default_factory=dict)
    """Figures without a bound."""
    broke: str | None = None
    """Why there is no verdict: the attack's own fault."""

    @property
    def holds(self) -> bool:
        return self.broke is None and all(figure.holds for figure in self.figures)


def run(attack: Attack | Check, directory: Path, *, seed: int, seconds: float | None = None) -> Outcome:
    """Carry it out in an empty directory."""
    if isinstance(attack, Check):
        return Outcome(attack.name, attack.what, attack.check(directory, seed))
    return run_against_pair(attack, directory, seed=seed, seconds=seconds)


def run_against_pair(attack: Attack, directory: Path, *, seed: int, seconds: float | None = None) -> Outcome:
    """Start both pairs, let them exchange groups, attack one for a while, and judge what was seen."""
    seconds = attack.seconds if seconds is None else seconds
    swarm = written(attack.swarm, directory)
    manifest = load_manifest(swarm)
    options = ("--swarm", swarm, *attack.options)
    pairs = [Pair.make(directory, name, options) for name in ("v", "c")]
    attacked, control = pairs
    try:
        for pair in pairs:
            pair.start()
        warm(pairs)
        process = acting.start(attack, attacked.first.target, attacked.second.target, manifest, seed, seconds)
        try:
            did = acting.finish(process, seconds)
        except RuntimeError as error:
            return Outcome(attack.name, attack.what, (), broke=str(error))
        since = did["began"] + min(attack.settle_s, seconds / 3)
        until = did["began"] + seconds
        time.sleep(1.0)  # the last polls come in
        first, second = attacked.seen(since, until)
        evidence = Evidence(first, second, control.seen(since, until), did, seed)
    finally:
        for pair in pairs:
            pair.close()
    return Outcome(attack.name, attack.what, attack.judge(evidence), did, notes(evidence))


def notes(evidence: Evidence) -> dict[str, object]:
    """What the figures were made of."""
    named = zip(("V", "H", "C1", "C2"), (*evidence.attacked, *evidence.control), strict=True)
    return {who: _summary(seen) for who, seen in named}


def _summary(seen: Seen) -> dict[str, object]:
    rejected: dict[str, int] = {}
    for (_, reason), count in seen.rejected.items():
        rejected[reason] = rejected.get(reason, 0) + count
    return {
        "alive": seen.alive,
        "steps": seen.steps,
        "external": seen.external,
        "publishers used": len(seen.used),
        "used": seen.used.total(),
        "pulled": seen.pulled.total(),
        "rejected": rejected,
        "latency_s": seen.latency_s,
        "latency_typical_s": seen.latency_typical_s,
        "rss_growth_mb": seen.rss_growth_mb,
        "scoring_s": max(seen.scoring_s, default=None),
        "health": seen.status.get("health"),
        "peers": len(seen.status.get("peers", ())),
        "warnings": len(seen.warnings),
        "last warnings": seen.warnings[-3:],
        "stderr": seen.stderr[-2_000:],
    }
