"""Runs attacks: a pair under attack, a pair left alone, and the verdict."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from swarmd.errors import SwarmdError
from swarmd.tasks import load_manifest
from tests.hostile import acting
from tests.hostile.daemons import Pair, Seen, warm
from tests.hostile.figures import Figure
from tests.hostile.scene import Attack, Check, Counts, Evidence
from tests.hostile.swarms import written

CONTROL_S_MAX = 600.0
"""Age of the pair left alone: what a policy learns in that time changes its steps little."""

BROKE_CHARS_MAX = 4_000


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


@dataclass
class Arena:
    """Carries attacks out one after the other. Victims are new each time; the pair that is left alone is
    kept from one attack to the next of the same swarm, until it has become much older than the victims."""

    directory: Path
    seed: int
    _control: Pair | None = None
    _control_of: tuple[str, ...] = ()
    _control_began: float = 0.0
    _fought: int = 0

    def carry_out(self, attack: Attack | Check, seconds: float | None = None) -> Outcome:
        """Attack and judge. What breaks in the attack itself, or before it, is in the outcome."""
        self._fought += 1
        here = self.directory / f"{self._fought}"
        here.mkdir(parents=True)
        try:
            if isinstance(attack, Check):
                return Outcome(attack.name, attack.what, attack.check(here, self.seed))
            return self._against_pair(attack, here, attack.seconds if seconds is None else seconds)
        except (AssertionError, RuntimeError, SwarmdError, subprocess.TimeoutExpired) as error:
            return Outcome(attack.name, attack.what, (), broke=str(error)[:BROKE_CHARS_MAX])

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _against_pair(self, attack: Attack, here: Path, seconds: float) -> Outcome:
        swarm = written(attack.swarm, here)
        manifest = load_manifest(swarm)
        options = ("--swarm", swarm, *attack.options)
        attacked = Pair.make(here, "v", options)
        try:
            attacked.start()
            control = self._left_alone(here, attack, options)
            warm([attacked, control])
            process = acting.start(
                attack, attacked.first.target, attacked.second.target, manifest, self.seed, seconds
            )
            did = acting.finish(process, seconds)
            since = did["began"] + min(attack.settle_s, seconds / 3)
            until = did["began"] + seconds
            time.sleep(1.0)  # the last polls come in
            evidence = Evidence(*attacked.seen(since, until), control.seen(since, until), did, self.seed)
        finally:
            attacked.close()
        return Outcome(attack.name, attack.what, attack.judge(evidence), did, notes(evidence))

    def _left_alone(self, here: Path, attack: Attack, options: tuple[str, ...]) -> Pair:
        of = (repr(attack.swarm), *attack.options)
        age = time.monotonic() - self._control_began
        if self._control is None or of != self._control_of or age > CONTROL_S_MAX:
            self.close()
            self._control, self._control_of = Pair.make(here, "c", options), of
            self._control_began = time.monotonic()
            self._control.start()
        return self._control


def notes(evidence: Evidence) -> dict[str, object]:
    """What the figures were made of."""
    named = zip(("V", "H", "C1", "C2"), (*evidence.attacked, *evidence.control), strict=True)
    return {who: _summary(seen) for who, seen in named}


def _summary(seen: Seen) -> dict[str, object]:
    rejected: dict[str, int] = {}
    for (_, reason), count in seen.rejected.items():
        rejected[reason] = rejected.get(reason, 0) + count
    return {
        "exit code": seen.exit_code,
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
        "phase_s": seen.phase_s,
        "health": seen.status.get("health"),
        "peers": len(seen.status.get("peers", ())),
        "warnings": len(seen.warnings),
        "last warnings": seen.warnings[-3:],
        "stderr": seen.stderr[-2_000:],
    }
