"""The one configuration object, parsed once and frozen. Pure code receives its slice, never the whole.

The docstring under a field is its help text, on the command line and in the written config.toml. `Flag` puts
the setting on the command line; nothing else is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from swarmd.addresses import PORT_MAX, check_announced_address, check_named_address, parse_http, parse_ip
from swarmd.config.base import Flag, Slice, read_by
from swarmd.config.chat_template import TemplateArgs
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.config.page_token import PageToken

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

STEPS_MAX = 1_000_000_000  # more than a year of the quickest steps there are
STOPS_MAX = 8
STOP_CHARS_MAX = 64  # each is looked for after every token


def _stops(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Pydantic expects a ValueError."""
    if len(texts) > STOPS_MAX:
        raise ValueError(f"{len(texts)} texts are given: at most {STOPS_MAX} can end a completion")
    wrong = next((text for text in texts if not 0 < len(text) <= STOP_CHARS_MAX), None)
    if wrong is not None:
        raise ValueError(
            f"{wrong[:STOP_CHARS_MAX]!r} has {len(wrong)} characters: a text that ends a completion has 1 to "
            f"{STOP_CHARS_MAX}"
        )
    return texts


_StopTexts = Annotated[tuple[str, ...], AfterValidator(_stops)]


class NetworkConfig(Slice):
    """How others reach this peer, and whom it contacts first."""

    peers: Annotated[tuple[_PeerAddress, ...], Flag("--peer", "MULTIADDR|@FILE")] = ()
    """Addresses of peers to join through: multiaddrs that end in /p2p/PEER_ID. Known peers are tried too."""
    host: Annotated[_IpAddress, Flag("--host", "IP")] = "0.0.0.0"  # noqa: S104  others must reach it
    """IP address to listen on."""
    port: Annotated[int, Flag("--port")] = Field(0, ge=0, le=PORT_MAX)
    """TCP port to listen on. 0 picks a free port and keeps it for later starts."""
    ipv6: bool = True
    """Listen on IPv6 too, on the same port, if host is 0.0.0.0 and this machine has IPv6."""
    lan: Annotated[bool, Flag("--no-lan")] = True
    """Whether to look for peers in the local network and tell them of this one (mDNS). --no-lan: do not."""
    announce: Annotated[tuple[_AnnouncedAddress, ...], Flag("--announce", "MULTIADDR")] = ()
    """Addresses to announce instead of those listened on, for a NAT or a container."""
    address_file: Annotated[Path | None, Flag("--address-file", "FILE")] = Field(
        None, examples=["addresses.txt"]
    )
    """File to write this peer's addresses to, one per line. --peer @FILE reads it."""
    dialable: bool | None = Field(None, examples=[False])
    """Whether others can dial this peer. If false, bodies are also stored in the DHT. Unset: probed."""
    relay: Annotated[bool, Flag("--no-relay")] = True
    """Whether to relay for peers that nobody can dial, at most 256 KiB/s. --no-relay: do not relay."""


class PolicyConfig(Slice):
    """Which model to train, where it runs, and how it samples."""

    model: Annotated[str, Flag("--model", "NAME|DIR")] = "embedded"
    """Model to train: embedded, smollm2-135m, a hub id such as Qwen/Qwen2.5-0.5B-Instruct, or a directory.
    On a swarm that asks about images, such as visual: embedded-visual."""
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
    """What generates completions: auto, native, own, eager (transformers' forward) or vllm (an extra)."""
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
    """Solved questions of the swarm's tasks to show before each question, for a model that does not write its
    answers in <answer> tags. Unset: as the checkpoint was trained, else 0."""
    threads: Annotated[int | None, Flag("--threads")] = Field(None, ge=1, le=1024, examples=[2])
    """CPU threads for the model. Unset: chosen by the hardware probe."""
    duty: Annotated[float, Flag("--duty", "SHARE")] = Field(1.0, ge=0.02, le=1)
    """Share of the time that steps may take. At 0.25, a step of 1 s is followed by 3 s of rest."""
    memory_limit: Annotated[_MemoryLimit, Flag("--memory-limit", "SIZE|PERCENT")] = "80%"
    """Memory that the process may use on its device: a size such as 6GiB, or a share of what is free."""

    @model_validator(mode="before")
    @classmethod
    def _take_former_name(cls, given: Any) -> Any:
        """`generator` was this setting's name until 0.1.0: homes and results folders hold it."""
        if isinstance(given, dict) and "generator" in given and "engine" not in given:
            return {("engine" if key == "generator" else key): value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _alpha_needs_rank(self) -> PolicyConfig:
        if self.lora_alpha is not None and self.lora_rank is None:
            raise ValueError("lora_alpha is set without lora_rank: set lora_rank too, or remove lora_alpha")
        return self

    def completed_by(self, trained: object) -> PolicyConfig:
        """What was set, completed by what a checkpoint was trained with, so that a home resumes as it was."""
        if not isinstance(trained, dict):
            return self
        return PolicyConfig.model_validate({**trained, **self.model_dump(exclude_unset=True)})


READ_BY = {
    "clip_low": ("grpo", "dr_grpo", "ppo"),
    "clip_high": ("grpo", "dr_grpo", "ppo"),
    "gspo_clip_low": ("gspo",),
    "gspo_clip_high": ("gspo",),
    "gae_gamma": ("ppo",),
    "gae_lambda": ("ppo",),
    "value_learning_rate": ("ppo",),
    "value_clip": ("ppo",),
    "external_baseline": ("grpo", "dr_grpo", "gspo"),
}
"""Settings of [learning] that only some algorithms read."""


class LearningConfig(Slice):
    """One policy update: how many groups of which kind, and how the policy learns from them."""

    local: Annotated[int, Flag("--local")] = Field(4, ge=0, le=1024)
    """Own groups per step (I in the paper)."""
    external: Annotated[int, Flag("--external")] = Field(4, ge=0, le=1024)
    """Groups by other peers per step (J in the paper). 0 trains alone."""
    external_fill: int | None = Field(None, ge=1, le=2048, examples=[8])
    """Groups with an advantage that a step wants in all. Groups by others are drawn only until there are so
    many, at most `external`. Unset: as many as `external` says."""
    mix: Literal["fixed", "measured"] = "fixed"
    """fixed: local, external and external_fill are as set. measured: while few own groups teach, a step makes
    local + external own groups and fills up to as many that teach; where groups by others cost more than own
    groups that teach, it draws none."""
    unended: Literal["wrong", "scored"] = "wrong"
    """What a completion earns that was cut off while it went on behind its answer: wrong (nothing) or scored
    (what the answer earns)."""
    group_size: Annotated[int, Flag("--group-size")] = Field(8, ge=2, le=64)
    """Completions sampled per question (G)."""
    algorithm: Annotated[Literal["grpo", "dr_grpo", "gspo", "ppo"], Flag("--algorithm")] = "grpo"
    """Policy gradient: grpo (averaged over tokens), dr_grpo, gspo or ppo (with a value head)."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """A token's ratio is clipped below at 1 - clip_low (grpo, dr_grpo, ppo)."""
    clip_high: float = Field(0.28, gt=0)
    """A token's ratio is clipped above at 1 + clip_high (grpo, dr_grpo, ppo)."""
    gspo_clip_low: float = Field(3e-4, gt=0, lt=1)
    """A whole completion's ratio is clipped below at 1 - gspo_clip_low."""
    gspo_clip_high: float = Field(4e-4, gt=0)
    """A whole completion's ratio is clipped above at 1 + gspo_clip_high."""
    gae_gamma: float = Field(1.0, gt=0, le=1)
    """ppo's discount of a reward, per token until the reward comes."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """What ppo's advantages rely on: at 0 the value head's next estimate, at 1 the reward alone."""
    value_learning_rate: float = Field(3e-4, gt=0, le=1)
    """Learning rate of ppo's value head."""
    value_clip: float = Field(0.2, gt=0)
    """How far ppo's value head may move its estimates on one batch."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the KL divergence from the frozen starting model. 0 keeps no such model in memory."""
    external_coefficient: float = Field(1.0, ge=0)
    """lambda in L = L_local/N_local + lambda * L_external/N_external."""
    external_loss: Annotated[Literal["as_own", "topr", "tis", "imitate"], Flag("--external-loss")] = "imitate"
    """How external tokens are weighted: imitate (correct completions only), topr, as_own (the paper's rule,
    and the only one for ppo) or tis."""
    external_tokens: Literal["verified", "all"] = "verified"
    """Which tokens of others' correct completions are trained on: verified (the answer, which was checked,
    and as much of the text around it as this policy would write itself) or all (the rule of the paper and of
    as_own)."""
    external_baseline: Literal["group", "shared"] = "group"
    """What others' rewards are compared with: group (the mean of their group, the paper's rule) or shared
    (half of that and half of this peer's own success on the task family: what it cannot do counts most, and
    groups that are right throughout are published and trained on)."""
    sampler: Annotated[Literal["uniform", "scored", "need"], Flag("--sampler")] = "uniform"
    """How external groups that have an advantage are drawn: uniform (the paper's rule), scored, or need (by
    how much this peer would learn)."""
    judge: Annotated[str | None, Flag("--judge", "NAME|DIR|HUB_ID")] = Field(
        None, max_length=512, examples=["./my-judge"]
    )
    """Language model that judges here whether answers are right, in a swarm whose manifest asks for one.
    Unset: the one that the manifest names."""
    reward_model: Annotated[str | None, Flag("--reward-model", "DIR|HUB_ID")] = Field(
        None, max_length=512, examples=["./my-reward-model"]
    )
    """Sequence classifier that judges here, in a swarm whose manifest asks for one. Unset: the manifest's."""
    rehearse: int = Field(0, ge=0, le=1024)
    """Right answers of others trained on again per step, at most: only of task families in which this peer
    succeeds less than half as often as others."""
    needed_questions: float = Field(0.0, ge=0, le=0.9)
    """Share of own questions, at most, asked of the task families in which this peer succeeds and others do
    not. The others follow the weights of the swarm's tasks, as all do at 0."""
    learning_rate: Annotated[float, Flag("--lr")] = Field(1e-4, gt=0, le=1)
    """Peak learning rate of AdamW."""
    schedule: Annotated[Literal["constant", "cosine"], Flag("--schedule")] = "constant"
    """Learning rate after warm-up: constant, or cosine down to a tenth of the peak at total_steps."""
    warmup_steps: int = Field(5, ge=0, le=STEPS_MAX)
    """Steps over which the learning rate rises linearly to its peak. The first is not zero."""
    total_steps: Annotated[int | None, Flag("--total-steps")] = Field(
        None, ge=1, le=STEPS_MAX, examples=[500]
    )
    """Length of the cosine schedule, in steps. Required by that schedule."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients with a larger norm are scaled down to this one."""
    updates_per_batch: int = Field(1, ge=1, le=16)
    """Optimiser steps per batch. Above 1, ratios leave 1 and the clip takes effect."""
    token_budget: int | None = Field(None, ge=64, examples=[4096])
    """Tokens trained on at once, with a prompt counted once per group; gradients are accumulated. Unset: as
    many as fit into the memory limit."""

    @model_validator(mode="before")
    @classmethod
    def _ppo_and_the_paper_have_rules_of_their_own(cls, given: Any) -> Any:
        """Unless set otherwise, ppo takes as_own as its external loss, and as_own trains on all tokens."""
        if not isinstance(given, dict):
            return given
        if given.get("algorithm") == "ppo":
            given = {"external_loss": "as_own", **given}
        if given.get("external_loss") == "as_own":
            given = {"external_tokens": "all", **given}
        return given

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> LearningConfig:
        if self.local + self.external == 0:
            raise ValueError("local and external are both 0, which leaves nothing to learn from: raise one")
        return self

    @model_validator(mode="after")
    def _measured_mix_has_both(self) -> LearningConfig:
        if self.mix == "measured" and (self.local == 0 or self.external_fill is not None):
            raise ValueError(
                "mix is measured, which chooses by what own groups teach and sets external_fill itself: set "
                "local to 1 or more and remove external_fill, or set mix to fixed"
            )
        return self

    @model_validator(mode="after")
    def _algorithm_reads_what_is_set(self) -> LearningConfig:
        for key, algorithms in READ_BY.items():
            # Compare values, not which fields were set: a config written out in full must read back the same.
            changed = getattr(self, key) != type(self).model_fields[key].default
            if changed and self.algorithm not in algorithms:
                raise ValueError(
                    f"{key} is set but algorithm is {self.algorithm}, which does not use it: remove it, or "
                    f"choose algorithm {' or '.join(algorithms)}"
                )
        return self

    @model_validator(mode="after")
    def _ppo_has_what_it_needs(self) -> LearningConfig:
        if self.algorithm != "ppo":
            return self
        if self.local == 0:
            raise ValueError(
                "algorithm is ppo, whose value head learns from own groups, but local is 0: raise local, or "
                "choose another algorithm"
            )
        if self.external > 0 and self.external_loss != "as_own":
            raise ValueError(
                f"algorithm is ppo, which has no advantage per completion, but external_loss "
                f"{self.external_loss} needs one: set external_loss to as_own, set external to 0, or choose "
                "another algorithm"
            )
        if self.external > 0 and self.external_tokens != "all":
            raise ValueError(
                "algorithm is ppo, which gives each token its own advantage and so cannot train on verified "
                "tokens only: set external_tokens to all, set external to 0, or choose another algorithm"
            )
        return self

    @model_validator(mode="after")
    def _needed_questions_need_others(self) -> LearningConfig:
        if self.needed_questions and self.external == 0:
            raise ValueError(
                "needed_questions is set but external is 0, which shows nothing of what others need: raise "
                "external, or set needed_questions to 0"
            )
        return self

    @model_validator(mode="after")
    def _lessons_need_an_advantage(self) -> LearningConfig:
        if self.rehearse and self.external_baseline == "group":
            raise ValueError(
                "rehearse is set but external_baseline is group, over which a single right answer has no "
                "advantage: set external_baseline to shared, or rehearse to 0"
            )
        return self

    @model_validator(mode="after")
    def _cosine_needs_an_end(self) -> LearningConfig:
        if self.schedule == "cosine" and self.total_steps is None:
            raise ValueError("schedule is cosine but total_steps is not set: set the step at which it ends")
        return self

    @property
    def needs_same_tokenizer(self) -> bool:
        """Whether the external loss can use only groups of peers with this tokenizer."""
        return self.external_loss == "tis"


class StorageConfig(Slice):
    """What is kept on disk, and how much."""

    checkpoint_every: Annotated[int | None, Flag("--checkpoint-every")] = Field(
        None, ge=1, le=STEPS_MAX, examples=[20]
    )
    """Steps between checkpoints. Unset: every 2 to 30 minutes, depending on what a checkpoint costs."""
    checkpoint_minutes: float | None = Field(None, gt=0, examples=[5.0])
    """Minutes between checkpoints, instead of the time chosen or in addition to checkpoint_every."""
    checkpoints_kept: int = Field(3, ge=2)
    """Newest checkpoints to keep, besides that of the best evaluation. Others are deleted."""
    records_bytes_max: int = Field(256 * 2**20, ge=2**20)
    """Bytes of records to keep and serve to others. The oldest are deleted first."""
    pool_groups_max: int = Field(2_048, ge=8)
    """External groups to keep and draw from. The oldest are deleted first."""


class ObserveConfig(Slice):
    """How the daemon reports what it does."""

    evaluate_every: Annotated[int | None, Flag("--evaluate-every")] = Field(
        None, ge=0, le=STEPS_MAX, examples=[200]
    )
    """Steps between evaluations on held-out questions. Unset: as often as 2 % of the time allows. 0: none."""
    http: Annotated[_HttpAddress | None, Flag("--http", "HOST:PORT")] = Field(
        None, examples=["127.0.0.1:8080"]
    )
    """HOST:PORT of the status page, API and metrics. A port alone means loopback. Unset: unix socket only."""
    http_hosts: Annotated[tuple[_HostName, ...], Flag("--http-host", "NAME")] = Field(
        (), max_length=16, examples=[["trainer.local"]]
    )
    """Names under which browsers may open the page, besides IP addresses and localhost."""
    sinks: tuple[SinkName, ...] = Field((), examples=[["tensorboard"]])
    """Where the numbers of each step also go: tensorboard, trackio, wandb (extras; offline, in the home)."""
    http_token: Annotated[PageToken | None, Flag("--http-token", "@FILE")] = Field(
        None, examples=["a-long-random-word"], repr=False
    )
    """Token of the page, or @FILE that holds it. Unset: one is made and told if others can reach the page."""
    log_format: Annotated[Literal["auto", "console", "json"], Flag("--log-format")] = "auto"
    """auto shows a live view in a terminal and json elsewhere; console prints lines for people."""
    log_level: Annotated[LogLevel, Flag("--log-level", "LEVEL")] = "info"
    """Least severe events to print: debug, info, warning or error."""


class Config(Slice):
    """The whole configuration, as `load_config` builds it from flags, environment and config.toml."""

    home: Path
    """Directory that holds key, config, checkpoints and records."""
    swarm: Annotated[str | None, Flag("--swarm", "NAME|FILE|URL|dns:NAME|ID")] = Field(
        None, examples=["starter"]
    )
    """Preset name, TOML manifest (path, https URL or dns:NAME), or swarm id in hex. Unset: what the peers or
    the home say."""
    steps: Annotated[int | None, Flag("--steps")] = Field(None, ge=1, le=STEPS_MAX, examples=[100])
    """Stop after this many more steps. Unset: run until stopped."""
    seed: Annotated[int, Flag("--seed")] = Field(0, ge=0, lt=2**32)
    """Random seed, mixed with the peer id: peers with the same seed still get different questions."""
    network: NetworkConfig = NetworkConfig()
    policy: PolicyConfig = PolicyConfig()
    learning: LearningConfig = LearningConfig()
    storage: StorageConfig = StorageConfig()
    observe: ObserveConfig = ObserveConfig()
