"""Task specs of games that come from outside."""

from __future__ import annotations

from protocol import TaskSpec, canonical_json
from swarmd.tasks.versions import outside_versions


def game(name: str = "Guess-v0", seed: int = 1, **options: object) -> TaskSpec:
    """A game of the textarena that is installed, or stands in for it."""
    return TaskSpec(
        source="textarena",
        dataset=name,
        config=canonical_json(options),
        version=outside_versions()["textarena"],
        seed=seed,
        index=0,
    )
