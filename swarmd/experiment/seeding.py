"""Where the randomness of an experiment comes from: a run's seed and a node's index.

They are hashed, so that neighbouring seeds and nodes share nothing. The configuration is deliberately left
out: with the same seed, a node is asked the same sequence of questions in every configuration, so that
configurations can be compared in pairs.
"""

from __future__ import annotations

import hashlib

from protocol import KeyPair

SWEEP = 2**31
"""Added to the index of a sweep's run, so that its seeds are never those of the results."""

HELD_OUT = 1
"""Seed of the held-out questions; the same for every run and node."""


def node_key(seed: int, node: int) -> KeyPair:
    """Return the identity of a node, which determines its questions (`swarmd.tasks.TrainingDraw`)."""
    return KeyPair.from_seed(_digest("key", seed, node))


def node_seed(seed: int, node: int) -> int:
    """Return 64 bits for a node's own random generators: sampling completions, drawing groups."""
    return int.from_bytes(_digest("draws", seed, node)[:8], "big")


def _digest(what: str, seed: int, node: int) -> bytes:
    return hashlib.sha256(f"swarmd/experiment/{what}/{seed}/{node}".encode()).digest()
