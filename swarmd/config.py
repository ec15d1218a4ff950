"""The one configuration object, parsed once and frozen; pure code receives its slice, never the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Slice(BaseModel):
    """A part of the configuration that one package receives. Unknown keys are refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(Slice):
    """How this peer is reached and whom it tries first."""

    peers: tuple[str, ...] = ()
    """Multiaddrs with a peer id, e.g. /ip4/10.0.0.7/tcp/41000/p2p/12D3Koo..."""
    host: str = "0.0.0.0"  # noqa: S104  a peer that listens on loopback only cannot be joined from elsewhere
    port: int = Field(0, ge=0, le=65_535)
    """TCP port; 0 takes a free one and keeps it for the next start."""
    announce: tuple[str, ...] = ()
    """Addresses to announce in place of the ones listened on (behind a NAT or in a container)."""
    dialable: bool | None = None
    """None: decide by probing; False: also store bodies in the DHT, since nobody can dial this peer."""


class PolicyConfig(Slice):
    """Which model, where, and how it samples."""

    model: str = "embedded"
    device: str = "auto"
    """auto, cpu, mps, cuda, cuda:N"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    lora_rank: int | None = Field(None, ge=1, le=1024)
    lora_alpha: int | None = Field(None, ge=1, le=4096)
    temperature: float = Field(1.0, gt=0, le=5)
    max_new_tokens: int | None = Field(None, ge=1, le=8192)
    """None: the swarm's own limit."""
    threads: int | None = Field(None, ge=1, le=1024)


class LearningConfig(Slice):
    """One policy update: how many groups of which kind, and what the gradient does with them."""

    local: int = Field(4, ge=0, le=1024)
    external: int = Field(4, ge=0, le=1024)
    group_size: int = Field(8, ge=2, le=64)
    learning_rate: float = Field(2e-4, gt=0, le=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(5, ge=0)
    total_steps: int | None = Field(None, ge=1)
    """Length of the cosine schedule in steps; required by it."""
    weight_decay: float = Field(0.0, ge=0)
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.28, gt=0)
    kl_coefficient: float = Field(0.0, ge=0)
    external_coefficient: float = Field(1.0, ge=0)
    """lambda in L = L_local/N_local + lambda * L_external/N_external."""
    external_loss: Literal["as_own"] = "as_own"
    sampler: Literal["uniform"] = "uniform"
    max_grad_norm: float = Field(1.0, gt=0)
    updates_per_batch: int = Field(1, ge=1, le=16)
    """Optimiser steps on one batch; above 1 the ratio leaves 1 and the clip acts."""
    token_budget: int = Field(16_384, ge=64)
    """Padded tokens in one micro-batch; gradients are accumulated over micro-batches."""


class StorageConfig(Slice):
    """What is kept on disk, and how much of it."""

    checkpoint_every: int = Field(10, ge=1)
    """Steps between checkpoints; one more is written at stop."""
    checkpoints_kept: int = Field(3, ge=2)
    records_bytes_max: int = Field(256 * 2**20, ge=2**20)
    pool_groups_max: int = Field(2_048, ge=8)


class ObserveConfig(Slice):
    """How the daemon shows itself."""

    http: str | None = None
    """HOST:PORT of the status page and API; loopback only unless a host is named. None: unix socket only."""
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Slice):
    """Everything. Built by `load_config` from flags over SWARMD_* environment over home/config.toml."""

    home: Path
    swarm: str | None = None
    """Preset name, path of a manifest in TOML, or a swarm id in hex. None: what the home or the peers say."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Mixed with the peer id, so that two peers with the same seed still see other questions."""
    steps: int | None = Field(None, ge=1)
    network: NetworkConfig = NetworkConfig()
    policy: PolicyConfig = PolicyConfig()
    learning: LearningConfig = LearningConfig()
    storage: StorageConfig = StorageConfig()
    observe: ObserveConfig = ObserveConfig()
