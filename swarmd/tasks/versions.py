"""The versions of the built-in sources, known without importing them.

A version is part of each task spec, and so of the swarm's id. It must change with every change after which
the same seed may give a different question or score.
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
"""Versions of our own adapters, which follow the package's version after a `+`."""


def built_in_versions() -> dict[str, str]:
    """The version of each built-in source, by name."""
    ours = {"coding": CODING, "drawing": DRAWING, "games": GAMES, "pictures": PICTURES}
    return ours | {"reasoning_gym": version("reasoning-gym")} | outside_versions()


def outside_versions() -> dict[str, str]:
    """The version of each source that belongs to an extra, if its package is installed."""
    found = {}
    for name, adapter in (("textarena", TEXTARENA_ADAPTER), ("verifiers", VERIFIERS_ADAPTER)):
        with suppress(PackageNotFoundError):
            found[name] = f"{version(name)}+{adapter}"
    return found
