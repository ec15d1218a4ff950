"""The nodes of a run spread over several processes, started by `torchrun`: torch.distributed carries the
bytes.

With CUDA, each rank computes on the GPU of its local rank and parts travel over nccl; otherwise over gloo.
Parts are copied as bytes and never unpickled: a rank on another machine can send nothing that runs here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError, SwarmdError
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.exchanges.interface import ProcessExchange, RoundExchange

WAIT_S = 1800.0
"""How long a rank waits for the slowest; torch's default for gloo. A rank that died is noticed at once."""

RANK_BYTES_MAX = 2**28  # one rank's parts at once: 64 nodes with 64 groups each, of 64 KiB like a record
HEAD_BYTES = 4  # before each part: its length, big endian

LAUNCH = "torchrun --nproc-per-node RANKS -m swarmd experiment run FILE.toml --exchange distributed"
STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"  # set in the environment of its processes


@contextmanager
def exchange_of(config: ExperimentConfig) -> Iterator[RoundExchange]:
    """Return the exchange that `config` names. Raises ConfigError if this process was not started for it."""
    if config.exchange == "distributed":
        place = place_of(os.environ, config.nodes)
        with joined_ranks(place, carrier_of(place, config.policy)) as exchange:
            yield exchange
    elif STARTED_BY_TORCHRUN in os.environ:
        raise ConfigError(
            f"exchange: started by torchrun, but exchange is {config.exchange}, which is for one process: "
            "add --exchange distributed, or start without torchrun"
        )
    else:
        yield ProcessExchange()


@dataclass(frozen=True)
class Place:
    """This process's position in the job, according to torchrun."""

    rank: int
    ranks: int
    local_rank: int
    """Its rank among the ranks on this machine."""
    local_ranks: int


def place_of(environment: Mapping[str, str], nodes: int) -> Place:
    """Return this process's place. Raises ConfigError if torchrun did not start it, or started too many."""
    try:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        place = Place(*(int(environment[name]) for name in names))
    except (KeyError, ValueError):
        raise ConfigError(
            f"exchange: distributed needs several processes, but this is one: start them with `{LAUNCH}`"
        ) from None
    if place.ranks > nodes:
        raise ConfigError(
            f"nodes: {place.ranks} ranks were started for {nodes} nodes, but each rank needs at least one: "
            f"use --nproc-per-node {nodes} or less"
        )
    return place


def carrier_of(place: Place, policy: PolicyConfig) -> torch.device:
    """Return the GPU of this local rank, or the CPU. Raises ConfigError if there are too few GPUs."""
    wish = policy.device
    if wish in ("cpu", "mps") or (wish == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if wish not in ("auto", "cuda"):
        raise ConfigError(
            f"policy.device: a rank uses the GPU of its local rank: {wish!r} must be auto or cpu"
        )
    gpus = torch.cuda.device_count()
    if place.local_ranks > gpus:
        raise ConfigError(
            f"policy.device: {place.local_ranks} ranks were started on a machine where PyTorch sees {gpus} "
            "GPUs, but each needs one: start fewer with --nproc-per-node, or set policy.device to cpu"
        )
    return torch.device("cuda", place.local_rank)


@contextmanager
def joined_ranks(place: Place, carrier: torch.device, *, wait_s: float = WAIT_S) -> Iterator[RankExchange]:
    """Connect to the other ranks for the length of the block. Raises SwarmdError if they cannot connect."""
    wait = timedelta(seconds=wait_s)
    on_gpu = carrier.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(carrier)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=wait)
        meeting = dist.new_group(backend="gloo", timeout=wait)
    except (RuntimeError, ValueError) as error:  # ValueError: no address to meet at
        raise SwarmdError(
            f"rank {place.rank}: the ranks cannot connect ({_first_line(error)}): start them with `{LAUNCH}`"
        ) from error
    try:
        yield RankExchange(place.rank, place.ranks, carrier, meeting, wait)
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class RankExchange:
    """Gathers over the ranks; see `interface.RoundExchange`."""

    rank: int
    ranks: int
    carrier: torch.device
    """Where parts are held in transit: this rank's own GPU, or the CPU."""
    meeting: dist.ProcessGroup
    """Over gloo, even if parts travel over nccl: gloo can say which rank is missing."""
    wait: timedelta

    @property
    def device(self) -> str | None:
        """Its nodes compute on its own GPU, if it has one."""
        return str(self.carrier) if self.carrier.type == "cuda" else None

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:
        frame = b"".join(len(part).to_bytes(HEAD_BYTES, "big") + part for part in parts)
        try:
            dist.monitored_barrier(self.meeting, self.wait, wait_all_ranks=True)
            sizes = self._sizes(len(frame))
            self._require_bounded(what, sizes)
            frames = self._frames(frame, sizes)
        except RuntimeError as error:
            raise SwarmdError(
                f"rank {self.rank}: {what}: another rank ended, or did not arrive within "
                f"{self.wait.total_seconds():.0f} s ({_first_line(error)}); see the output of rank 0 and the "
                "missing rank: the same command resumes from the last checkpoint"
            ) from error
        return [part for frame in frames for part in _parts(frame)]

    def _sizes(self, size: int) -> list[int]:
        """Return the size of each rank's frame."""
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.ranks)]
        dist.all_gather(sizes, torch.tensor([size]), group=self.meeting)
        return [int(each) for each in sizes]

    def _require_bounded(self, what: str, sizes: Sequence[int]) -> None:
        for rank, size in enumerate(sizes):
            if size > RANK_BYTES_MAX:
                raise SwarmdError(
                    f"rank {rank} has {size} bytes of {what}, but {RANK_BYTES_MAX} is the limit: start "
                    "more ranks, or lower configurations.local"
                )

    def _frames(self, frame: bytes, sizes: Sequence[int]) -> list[bytes]:
        """Return each rank's frame, of these sizes. All are padded to the longest, as all_gather requires."""
        longest = max(sizes)
        if longest == 0:
            return []
        row = torch.frombuffer(bytearray(frame.ljust(longest, b"\0")), dtype=torch.uint8).to(self.carrier)
        rows = [torch.empty_like(row) for _ in range(self.ranks)]
        dist.all_gather(rows, row)
        return [each.cpu().numpy().tobytes()[:size] for each, size in zip(rows, sizes, strict=True)]


def _parts(frame: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(frame):
        begin = at + HEAD_BYTES
        at = begin + int.from_bytes(frame[at:begin], "big")
        yield frame[begin:at]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
