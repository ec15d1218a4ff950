"""What each peer may use of this machine: rejects more peers than memory allows, and divides the cores.

Pure except for `capacity`, which examines the machine. These are estimates: each daemon makes an exact plan
later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.errors import ConfigError
from swarmd.hardware.machine import free_memory_bytes, usable_cores
from swarmd.model_names import EMBEDDED, SMOLLM2
from swarmd.user_paths import path_of

MIB = 2**20
PEER_BYTES = 700 * MIB
"""Peak of a peer of the embedded model with its p2pd and workers. docs/testnet.md has the measurements."""

TRAINED = 4
"""Weights, gradients and AdamW's two moments."""

SMOLLM2_BYTES = 540 * MIB  # 135 M parameters in float32
USABLE = 0.8  # of the free memory: as much as `--memory-limit 80%` allows one peer
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class Capacity:
    """What is free on this machine."""

    cores: int
    free_bytes: int


def capacity() -> Capacity:
    """Return the capacity of this machine now."""
    return Capacity(usable_cores(), free_memory_bytes())


def bytes_of(model: str) -> int:
    """Return the least memory that a peer of `model` takes. The size of a hub id is unknown here, and counts
    as small.
    """
    if model == EMBEDDED:
        return PEER_BYTES
    if model == SMOLLM2:
        return PEER_BYTES + TRAINED * SMOLLM2_BYTES
    return PEER_BYTES + TRAINED * sum(path.stat().st_size for path in _weights(path_of(model)))


def _weights(directory: Path) -> Iterable[Path]:
    return (path for pattern in WEIGHTS for path in directory.glob(pattern))


def require_room(models: Sequence[str], here: Capacity) -> None:
    """Raise ConfigError if the peers do not fit together; it says how many do. `models`: that of each
    peer.
    """
    usable, needed, fits = int(USABLE * here.free_bytes), 0, 0
    for model in models:
        needed += bytes_of(model)
        fits += needed <= usable
    if needed > usable:
        raise ConfigError(
            f"--peers {len(models)}: they need about {_gib(needed)}, but {_gib(usable)} may be used "
            f"({USABLE:.0%} of the {_gib(here.free_bytes)} that are free): "
            + (f"give --peers {fits} or less" if fits > 1 else "free some memory")
        )


def memory_limit(models: Sequence[str], number: int, here: Capacity, given: str) -> str:
    """Return the `--memory-limit` of peer `number`, from 1, if `given` is set for all: a size applies to each
    peer, and a share of the free memory is divided in proportion to their models.

    The result is a size, so that a peer restarted later, with less memory free, may use as much.
    """
    if not given.strip().endswith("%"):
        return given
    share = bytes_of(models[number - 1]) / sum(map(bytes_of, models))
    return f"{int(memory_limit_bytes(given, here.free_bytes) * share / MIB)}MiB"


def threads(peers: int, here: Capacity) -> int:
    """Return each peer's share of the cores: peers that start together would otherwise each take all of
    them.
    """
    return max(1, here.cores // peers)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
