"""The versions of the built-in sources, which are known without importing one.

A version is part of each task spec, and so of the swarm's id. It changes with every change after which the
same seed may give another question or another verdict.
"""

from __future__ import annotations

from importlib.metadata import version

CODING = "1"
DRAWING = "1"
GAMES = "1"
PICTURES = "1"


def built_in_versions() -> dict[str, str]:
    """By name of the source."""
    ours = {"coding": CODING, "drawing": DRAWING, "games": GAMES, "pictures": PICTURES}
    return ours | {"reasoning_gym": version("reasoning-gym")}
