"""What was lost: read from what daemons printed and from what lies in their homes, after the chaos."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cbor2

from protocol import Manifest, RejectedRecord, verify_record
from swarmd.groups import ScoredGroup
from swarmd.step.verification import Verification
from swarmd.storage import Home
from swarmd.tasks import FOR_PEERS, TaskRunner
from tests.chaos.peers import Life, Machine
from tests.chaos.storm import SILENCE_S, Cut
from tests.integration.daemon_process import Event

REWARD_ERROR_MAX = 1e-6
CLOCKS_S = 12.0
"""More than a clock of the chaos is ahead: what seems to be made so long after a cut was made after it."""

CHECKED_MAX = 400
"""Groups that are scored once more; some seconds."""


@dataclass(frozen=True)
class Loss:
    """One start after another life of the same home."""

    machine: int
    steps: int
    """Done in the life before and not there any more."""
    saved: int
    """Of those, steps that the life before had said were saved: never more than 0."""
    seconds: float
    """From the moment that the last checkpoint was told (or the start) to the last step told."""


def losses(machine: int, lives: Sequence[Sequence[Event]]) -> Iterator[Loss]:
    """Of one home; `lives` are what each process that was started for it printed, restarts in it included."""
    done = saved = 0
    safe_at = done_at = 0.0
    fresh = True
    for event in (event for life in lives for event in life):
        name, at = event["event"], float(event["seen"])
        if name == "started":
            fresh, began = True, at
        elif name in ("resumed", "step") and fresh:
            at_step = int(event["step"]) if name == "resumed" else 0
            fresh = False
            if done > 0 and at_step < done:
                yield Loss(machine, done - at_step, max(0, saved - at_step), max(0.0, done_at - safe_at))
            done = saved = at_step
            safe_at = done_at = began
        if name == "step":
            done, done_at = int(event["step"]), at
        elif name == "checkpoint":
            saved, safe_at = int(event["step"]), at


@dataclass(frozen=True)
class Silence:
    """One direction after a heal."""

    seconds: float | None
    """Until a witness on this side had a group that the other made since the cut; None where none had."""
    through_the_cut: int
    """Such groups that came before the heal: 0, or it was not cut."""


def silences(cut: Cut, machines: Sequence[Machine]) -> Iterator[Silence]:
    """Both directions, by the cut's witnesses; one in which none was listening, or nobody said anything, is
    left out."""
    for here, there in (cut.sides, cut.sides[::-1]):
        made = {
            digest
            for number in there
            for home in machines[number].homes
            for digest, at in published(Home(home))
            if at > cut.began + CLOCKS_S
        }
        listening = [
            life
            for number in cut.witnesses.intersection(here)
            for life in machines[number].lives
            if _listens(life, cut)
        ]
        if not made or not listening:
            continue
        came = [
            float(event["seen"])
            for life in listening
            for event in life.daemon.named("pulled")
            if bytes.fromhex(event["digest"]) in made and event["seen"] < cut.until
        ]
        after = [at - cut.healed_at for at in came if at >= cut.healed_at]
        yield Silence(min(after, default=None), len(came) - len(after))


def _listens(life: Life, cut: Cut) -> bool:
    """Whether it had groups of others before the cut and nothing ended it until well after the heal: who has
    just been started needs longer for its first, network or not."""
    until = cut.healed_at + SILENCE_S
    over_at = life.over_at
    starts = [float(event["seen"]) for event in life.daemon.named("started")]
    starts = [at for at in starts if at < until]
    if not starts or starts[-1] > cut.began_at or (over_at is not None and over_at < until):
        return False
    return any(starts[-1] < event["seen"] < cut.began_at for event in life.daemon.named("pulled"))


def published(home: Home) -> list[tuple[bytes, float]]:
    """Digests and Unix times of its records."""
    query = "SELECT digest, at FROM ledger WHERE event = 'published'"
    with closing(sqlite3.connect(f"file:{home.database_path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def records_lost(home: Home) -> tuple[int, int]:
    """(those missing or changed on disk, all of them): records that the ledger says were published."""
    rows = published(home)
    whole = sum(_is_whole(home.records_path / digest.hex(), digest) for digest, _ in rows)
    return len(rows) - whole, len(rows)


def _is_whole(path: Path, digest: bytes) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).digest() == digest
    except OSError:
        return False


def false_accepts(homes: Sequence[Home], manifest: Manifest) -> tuple[int, int]:
    """(groups in pools that should not be there, groups looked at): each is verified and scored once more."""
    held = list(islice((pair for home in homes for pair in _pool(home)), CHECKED_MAX))
    return asyncio.run(_count_wrong(held, manifest)), len(held)


def _pool(home: Home) -> Iterator[tuple[bytes, Any]]:
    """The envelope and the group as it was scored, of each group in the pool whose record is kept."""
    uri = f"file:{home.database_path}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        rows = database.execute("SELECT digest, body FROM pool").fetchall()
    for digest, body in rows:
        path = home.records_path / digest.hex()
        if path.exists():
            yield path.read_bytes(), cbor2.loads(body)


async def _count_wrong(held: Sequence[tuple[bytes, Any]], manifest: Manifest) -> int:
    wrong = 0
    async with TaskRunner(reward=manifest.reward, options=FOR_PEERS) as tasks:
        for envelope, group in held:
            then = manifest.round_start(group["round"] + 1)  # it came while its round was young
            try:
                record = verify_record(envelope, manifest=manifest, now=then)
            except RejectedRecord:
                wrong += 1
                continue
            [outcome] = await Verification(manifest=manifest, tasks=tasks).check([record])
            wrong += not _agrees(outcome, group)
    return wrong


def _agrees(outcome: object, group: Any) -> bool:
    if not isinstance(outcome, ScoredGroup):
        return False
    pairs = zip(outcome.completions, group["completions"], strict=True)
    return all(abs(here.reward - there["reward"]) <= REWARD_ERROR_MAX for here, there in pairs)


def tracebacks(machines: Sequence[Machine]) -> list[str]:
    """The last line of each traceback that a daemon wrote."""
    found = []
    for machine in machines:
        for life in machine.lives:
            said = life.daemon.stderr
            if "Traceback (most recent call last)" in said:
                found.append(f"machine {machine.number}: {said.strip().splitlines()[-1][:200]}")
    return found
