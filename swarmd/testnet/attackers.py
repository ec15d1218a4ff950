"""Attackers of a testnet: those of tests/hostile, each in its own process and independent of our code.

They are not installed with swarmd, so `--attackers` needs a checkout of the repository. A second, tamer set
in this room would be weaker and would duplicate them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import swarmd
from swarmd.errors import ConfigError
from swarmd.quoting import quoted

KINDS = (
    "draws-50",
    "answers-all",
    "statuses-1000",
    "places-64",
    "holders-3",
    "streams-17",
    "flood-stores",
    "flood-greetings",
)
"""The attackers of `python -m tests.hostile --list` that need no swarm of their own."""

MODULE = "tests.hostile.loose"
TARGETS = 2  # honest peers that one attacker attacks


def checkout() -> Path:
    """Return the directory that contains both swarmd and tests. Raises ConfigError if swarmd is installed
    without it.
    """
    root = Path(swarmd.__file__).parents[1]
    if not (root / Path(*MODULE.split("."))).with_suffix(".py").is_file():
        raise ConfigError(
            "--attackers needs a checkout of swarmd's repository, but this swarmd is installed without its "
            "tests: clone the repository, `pip install --editable .` there, and run swarmd testnet again"
        )
    return root


def kinds(count: int, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the kind of each of `count` attackers: `wanted` in turn, or all kinds in turn. Raises
    ConfigError.
    """
    for kind in wanted:
        if kind not in KINDS:
            raise ConfigError(f"--attack {quoted(kind)} is not known: use {', '.join(KINDS)}")
    if wanted and not count:
        raise ConfigError("--attack names kinds of attackers, but there are none: also give --attackers K")
    if count:
        checkout()
    given = tuple(wanted) or KINDS
    return tuple(given[index % len(given)] for index in range(count))


def command(kind: str, targets: Sequence[str], manifest: Path, seed: int) -> list[str]:
    """Return the command that attacks these addresses until its standard input ends."""
    aims = [f"--target={address}" for address in targets]
    return [sys.executable, "-m", MODULE, kind, *aims, f"--manifest={manifest}", f"--seed={seed}"]
