"""What a manifest says, as lines for people and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from swarmd.names import name_of
from swarmd.tasks import SwarmFile

LAST_S = int(datetime.max.replace(tzinfo=UTC).timestamp())
"""The last second that the calendar supports; a stranger's manifest may name a later one."""


def facts_of(found: SwarmFile, now: float) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line. `now`: Unix seconds."""
    manifest, signed = found.manifest, found.charter
    yield "swarm", manifest.name
    yield "id", manifest.swarm_id.hex()
    if signed is None:
        yield "author", "none: it is not signed"
    else:
        yield "author", f"{name_of(signed.author)} ({signed.author})"
        yield "version", f"{signed.charter.version}, signed {_time(signed.charter.created)}"
        for address in signed.charter.bootstrap:
            yield "bootstrap", address
        for url in signed.charter.urls:
            yield "url", url
    yield (
        "began",
        f"{_time(manifest.genesis)}, in round {manifest.round_at(now)} of {manifest.round_seconds} s",
    )
    yield "reward", manifest.reward
    yield "limits", f"{manifest.max_new_tokens} tokens, {manifest.records_per_round_max} records per round"
    yield "tasks", ", ".join(task.name for task in manifest.tasks)


def plain_of(found: SwarmFile) -> dict[str, object]:
    """The same for programs."""
    manifest, signed = found.manifest, found.charter
    return {
        "name": manifest.name,
        "id": manifest.swarm_id.hex(),
        "genesis": manifest.genesis,
        "round_seconds": manifest.round_seconds,
        "reward": manifest.reward,
        "max_new_tokens": manifest.max_new_tokens,
        "records_per_round_max": manifest.records_per_round_max,
        "tasks": [task.name for task in manifest.tasks],
        "author": None if signed is None else signed.author,
        "version": None if signed is None else signed.charter.version,
        "created": None if signed is None else signed.charter.created,
        "bootstrap": [] if signed is None else list(signed.charter.bootstrap),
        "urls": [] if signed is None else list(signed.charter.urls),
    }


def _time(seconds: int) -> str:
    if seconds > LAST_S:
        return "after the year 9999"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
