"""The versions of the built-in sources, which are known without importing one.

A version is part of each task spec, and so of the swarm's id. It changes with every change after which the
same seed may give another question or another verdict.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

CODING = "1"
DRAWING = "1"
GAMES = "1"
PICTURES = "1"
TEXTARENA_ADAPTER = "1"
VERIFIERS_ADAPTER = "1"
"""How a package from outside is asked and scored; its own version stands before it."""


def built_in_versions() -> dict[str, str]:
    """By name of the source."""
    ours = {"coding": CODING, "drawing": DRAWING, "games": GAMES, "pictures": PICTURES}
    return ours | {"reasoning_gym": version("reasoning-gym")} | outside_versions()


def outside_versions() -> dict[str, str]:
    """Of the sources that come with an extra, if its package is installed."""
    found = {}
    for name, adapter in (("textarena", TEXTARENA_ADAPTER), ("verifiers", VERIFIERS_ADAPTER)):
        with suppress(PackageNotFoundError):
            found[name] = f"{version(name)}+{adapter}"
    return found
