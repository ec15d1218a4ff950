"""What each peer may take of this machine: refuses more peers than memory allows, and shares cores.

Pure but for `capacity`, which looks. An estimate: each daemon makes an exact plan of its own later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.errors import ConfigError
from swarmd.hardware.machine import free_memory_bytes, usable_cores
from swarmd.model_names import EMBEDDED, SMOLLM2

MIB = 2**20
PEER_BYTES = 700 * MIB
"""A peer of the embedded model with its p2pd and workers, at its peak. docs/testnet.md has what was seen."""

TRAINED = 4
"""Weights, gradients and AdamW's two moments."""

SMOLLM2_BYTES = 540 * MIB  # 135 M parameters in float32
USABLE = 0.8  # of the free memory: as much as `--memory-limit 80%` lets one peer take
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class Capacity:
    """What is free on this machine."""

    cores: int
    free_bytes: int


def capacity() -> Capacity:
    """That of this machine, now."""
    return Capacity(usable_cores(), free_memory_bytes())


def bytes_of(model: str) -> int:
    """What a peer of `model` takes at least. A hub id's size is not known here, and counts as small."""
    if model == EMBEDDED:
        return PEER_BYTES
    if model == SMOLLM2:
        return PEER_BYTES + TRAINED * SMOLLM2_BYTES
    return PEER_BYTES + TRAINED * sum(path.stat().st_size for path in _weights(Path(model).expanduser()))


def _weights(directory: Path) -> Iterable[Path]:
    return (path for pattern in WEIGHTS for path in directory.glob(pattern))


def require_room(models: Sequence[str], here: Capacity) -> None:
    """`models`: that of each peer. Raises ConfigError if they do not fit together, and says how many do."""
    usable, needed, fits = int(USABLE * here.free_bytes), 0, 0
    for model in models:
        needed += bytes_of(model)
        fits += needed <= usable
    if needed > usable:
        raise ConfigError(
            f"--peers {len(models)}: they need about {_gib(needed)}, and {_gib(usable)} may be used "
            f"({USABLE:.0%} of the {_gib(here.free_bytes)} that are free): "
            + (f"give --peers {fits} or less" if fits > 1 else "free some memory")
        )


def memory_limit(models: Sequence[str], number: int, here: Capacity, given: str) -> str:
    """The `--memory-limit` of peer `number`, from 1, if `given` is for all: a size is for each of them, and
    a share of the free memory is divided by what their models take.

    It becomes a size, so that a peer that is started again later, with less memory free, may take as much.
    """
    if not given.strip().endswith("%"):
        return given
    share = bytes_of(models[number - 1]) / sum(map(bytes_of, models))
    return f"{int(memory_limit_bytes(given, here.free_bytes) * share / MIB)}MiB"


def threads(peers: int, here: Capacity) -> int:
    """Of each peer: an equal share of the cores, since peers that start together would each take them all."""
    return max(1, here.cores // peers)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
