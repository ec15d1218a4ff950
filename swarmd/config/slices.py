"""The one configuration object, parsed once and frozen. Pure code receives its slice, never the whole.

The docstring under a field is its help text, on the command line and in the generated config.toml. `Flag`
puts the setting on the command line; nothing else is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from swarmd.addresses import PORT_MAX, check_announced_address, check_named_address, parse_http, parse_ip
from swarmd.config.base import NOT_EMPTY, STEPS_MAX, Flag, Slice, read_by
from swarmd.config.chat_template import TemplateArgs
from swarmd.config.learning import LearningConfig
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.config.page_token import PageToken
from swarmd.quoting import quoted

_IpAddress = Annotated[str, read_by(parse_ip)]
_HttpAddress = Annotated[str, read_by(parse_http)]
_HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,253}$")]
_PeerAddress = Annotated[str, read_by(check_named_address)]
_AnnouncedAddress = Annotated[str, read_by(check_announced_address)]
_MemoryLimit = Annotated[str, read_by(lambda text: memory_limit_bytes(text, free_bytes=0))]

EngineName = Literal["auto", "native", "own", "eager", "vllm"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
SinkName = Literal["tensorboard", "trackio", "wandb"]
LogLevel = Literal["debug", "info", "warning", "error"]

STOPS_MAX = 8
STOP_CHARS_MAX = 64  # each is searched for after every token


def _stops(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Pydantic expects a ValueError."""
    if len(texts) > STOPS_MAX:
        raise ValueError(f"{len(texts)} stop texts are given: at most {STOPS_MAX} are allowed")
    wrong = next((text for text in texts if not 0 < len(text) <= STOP_CHARS_MAX), None)
    if wrong is not None:
        raise ValueError(
            f"{quoted(wrong)} has {len(wrong)} characters: a stop text has 1 to {STOP_CHARS_MAX}"
        )
    return texts


_StopTexts = Annotated[tuple[str, ...], AfterValidator(_stops)]


class NetworkConfig(Slice):
    """How other peers reach this one, and which it contacts first."""

    peers: Annotated[tuple[_PeerAddress, ...], Flag("--peer", "MULTIADDR|@FILE")] = ()
    """Addresses of peers to join through: multiaddrs that end in /p2p/PEER_ID. Known peers are dialled too.
    """
    host: Annotated[_IpAddress, Flag("--host", "IP")] = "0.0.0.0"  # noqa: S104  other peers must reach it
    """IP address to listen on."""
    port: Annotated[int, Flag("--port")] = Field(0, ge=0, le=PORT_MAX)
    """TCP port to listen on. 0 picks a free port and keeps it for later starts."""
    ipv6: bool = True
    """Listen on IPv6 too, on the same port, if host is 0.0.0.0 and this machine has IPv6."""
    lan: Annotated[bool, Flag("--no-lan")] = True
    """Find peers on the local network and announce this one there (mDNS). --no-lan turns this off."""
    announce: Annotated[tuple[_AnnouncedAddress, ...], Flag("--announce", "MULTIADDR")] = ()
    """Addresses to announce instead of the ones listened on, for a NAT or a container."""
    address_file: Annotated[Path | None, NOT_EMPTY, Flag("--address-file", "FILE")] = Field(
        None, examples=["addresses.txt"]
    )
    """File to write this peer's addresses to, one per line. --peer @FILE reads it."""
    dialable: bool | None = Field(None, examples=[False])
    """Whether others can dial this peer. If false, bodies are also stored in the DHT. Unset: probed."""
    relay: Annotated[bool, Flag("--no-relay")] = True
    """Relay for peers that nobody can dial, at most 256 KiB/s. --no-relay turns this off."""


class PolicyConfig(Slice):
    """Which model to train, where it runs, and how it samples."""

    model: Annotated[str, Flag("--model", "NAME|DIR")] = "embedded"
    """Model to train: embedded, smollm2-135m, a hub id such as Qwen/Qwen2.5-0.5B-Instruct, or a directory.
    For a swarm with image questions, such as visual: embedded-visual.
    """
    device: Annotated[str, Flag("--device", "DEVICE")] = "auto"
    """Device to compute on: auto, cpu, mps, cuda or cuda:N."""
    dtype: Annotated[DtypeName, Flag("--dtype", "DTYPE")] = "auto"
    """Number format of the weights: auto, float32, bfloat16 or float16."""
    lora_rank: Annotated[int | None, Flag("--lora", "r=RANK[,alpha=ALPHA]")] = Field(
        None, ge=1, le=1024, examples=[16]
    )
    """Train a LoRA adapter of this rank instead of all weights."""
    lora_alpha: Annotated[int | None, Flag("--lora")] = Field(None, ge=1, le=4096, examples=[32])
    """Scale of the LoRA adapter. Unset: twice the rank."""
    engine: Annotated[EngineName, Flag("--engine", "NAME")] = "auto"
    """Engine that generates completions: auto, native, own, eager (transformers' forward) or vllm (an extra).
    """
    temperature: Annotated[float, Flag("--temperature")] = Field(1.0, gt=0, le=5)
    """Sampling temperature of rollouts."""
    max_new_tokens: Annotated[int | None, Flag("--max-new-tokens")] = Field(
        None, ge=1, le=8192, examples=[256]
    )
    """Longest completion, in tokens. Unset: the swarm's limit."""
    stop: Annotated[_StopTexts, Flag("--stop", "TEXT")] = ()
    """Text that ends a completion, right after its first occurrence, e.g. </answer>."""
    template_args: Annotated[TemplateArgs, Flag("--template-arg", "NAME=VALUE")] = Field(
        {}, validate_default=True
    )
    """Argument of the model's chat template, e.g. enable_thinking=false."""
    examples: Annotated[int | None, Flag("--examples", "N")] = Field(None, ge=0, le=8)
    """Number of solved questions to show before each question, for a model that does not write its answers in
    <answer> tags. Unset: as the checkpoint was trained, else 0.
    """
    threads: Annotated[int | None, Flag("--threads")] = Field(None, ge=1, le=1024, examples=[2])
    """CPU threads for the model. Unset: chosen by the hardware probe."""
    duty: Annotated[float, Flag("--duty", "SHARE")] = Field(1.0, ge=0.02, le=1)
    """Share of the time that steps may take. At 0.25, a step of 1 s is followed by 3 s of rest."""
    memory_limit: Annotated[_MemoryLimit, Flag("--memory-limit", "SIZE|PERCENT")] = "80%"
    """Memory that the process may use on its device: a size such as 6GiB, or a share of the free memory."""

    @model_validator(mode="before")
    @classmethod
    def _take_former_name(cls, given: Any) -> Any:
        """`generator` was this setting's name until 0.1.0: homes and results folders still contain it."""
        if not isinstance(given, dict) or "generator" not in given:
            return given
        return {"engine": given["generator"]} | {
            key: value for key, value in given.items() if key != "generator"
        }

    @model_validator(mode="after")
    def _alpha_needs_rank(self) -> PolicyConfig:
        if self.lora_alpha is not None and self.lora_rank is None:
            raise ValueError("lora_alpha is set without lora_rank: set lora_rank too, or remove lora_alpha")
        return self

    def completed_by(self, trained: object) -> PolicyConfig:
        """Complete what was set with what a checkpoint was trained with, so that a home resumes unchanged."""
        if not isinstance(trained, dict):
            return self
        return PolicyConfig.model_validate({**trained, **self.model_dump(exclude_unset=True)})


class StorageConfig(Slice):
    """What is kept on disk, and how much."""

    checkpoint_every: Annotated[int | None, Flag("--checkpoint-every")] = Field(
        None, ge=1, le=STEPS_MAX, examples=[20]
    )
    """Steps between checkpoints. Unset: every 2 to 30 minutes, depending on what a checkpoint costs."""
    checkpoint_minutes: float | None = Field(None, gt=0, examples=[5.0])
    """Minutes between checkpoints, instead of the automatic interval or in addition to checkpoint_every."""
    checkpoints_kept: int = Field(3, ge=2)
    """Newest checkpoints to keep, in addition to that of the best evaluation. Others are deleted."""
    records_bytes_max: int = Field(256 * 2**20, ge=2**20)
    """Bytes of records to keep and serve to others. The oldest are deleted first."""
    pool_groups_max: int = Field(2_048, ge=8)
    """External groups to keep and draw from. The oldest are deleted first."""


class ObserveConfig(Slice):
    """How the daemon reports what it does."""

    evaluate_every: Annotated[int | None, Flag("--evaluate-every")] = Field(
        None, ge=0, le=STEPS_MAX, examples=[200]
    )
    """Steps between evaluations on held-out questions. Unset: as often as 2% of the time allows. 0: none."""
    http: Annotated[_HttpAddress | None, Flag("--http", "HOST:PORT")] = Field(
        None, examples=["127.0.0.1:8080"]
    )
    """HOST:PORT of the status page, API and metrics. A port alone means loopback. Unset: unix socket only."""
    http_hosts: Annotated[tuple[_HostName, ...], Flag("--http-host", "NAME")] = Field(
        (), max_length=16, examples=[["trainer.local"]]
    )
    """Host names under which browsers may open the page, in addition to IP addresses and localhost."""
    sinks: tuple[SinkName, ...] = Field((), examples=[["tensorboard"]])
    """Where else to send the numbers of each step: tensorboard, trackio, wandb (extras; offline, in the
    home).
    """
    http_token: Annotated[PageToken | None, Flag("--http-token", "@FILE")] = Field(
        None, examples=["a-long-random-word"], repr=False
    )
    """Token of the page, or @FILE that contains it. Unset: one is made and shown if others can reach the
    page.
    """
    log_format: Annotated[Literal["auto", "console", "json"], Flag("--log-format")] = "auto"
    """auto shows a live view in a terminal and json elsewhere; console prints human-readable lines."""
    log_level: Annotated[LogLevel, Flag("--log-level", "LEVEL")] = "info"
    """Least severe events to print: debug, info, warning or error."""


class Config(Slice):
    """The whole configuration, as `load_config` builds it from flags, environment and config.toml."""

    home: Path
    """Directory that holds key, config, checkpoints and records."""
    swarm: Annotated[str | None, NOT_EMPTY, Flag("--swarm", "NAME|FILE|URL|dns:NAME|ID")] = Field(
        None, examples=["starter"]
    )
    """Preset name, TOML manifest (path, https URL or dns:NAME), or swarm id in hex. Unset: decided by the
    peers or the home.
    """
    steps: Annotated[int | None, Flag("--steps")] = Field(None, ge=1, le=STEPS_MAX, examples=[100])
    """Stop after this many more steps. Unset: run until stopped."""
    seed: Annotated[int, Flag("--seed")] = Field(0, ge=0, lt=2**32)
    """Random seed, mixed with the peer id: peers with the same seed still get different questions."""
    network: NetworkConfig = NetworkConfig()
    policy: PolicyConfig = PolicyConfig()
    learning: LearningConfig = LearningConfig()
    storage: StorageConfig = StorageConfig()
    observe: ObserveConfig = ObserveConfig()

    @field_validator("learning")
    @classmethod
    def _peers_are_asked_different_questions(cls, learning: LearningConfig) -> LearningConfig:
        if learning.asks_the_same:
            raise ValueError(
                f"external_baseline is {learning.external_baseline}, which compares all peers' answers "
                "to one question and so works only in experiments: use group or shared"
            )
        return learning
