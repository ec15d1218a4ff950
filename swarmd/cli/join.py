"""`swarmd join`: settings from flags, then the daemon until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarmd.cli.devices import DevicesOption, join_devices
from swarmd.cli.init import NewIdentityOption, open_home
from swarmd.cli.options import (
    DEFAULT_HOME,
    FLAGS,
    HomeOption,
    home_path,
    overrides,
    parse_lora,
    read_peers,
    setting,
)
from swarmd.config import load_config
from swarmd.daemon import run
from swarmd.daemon.beginning import Beginning
from swarmd.errors import ConfigError

FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="Go on from this checkpoint's directory, of this home or any other, though all but its weights "
        "be damaged; says what is lost.",
        rich_help_panel="Daemon",
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Train from the beginning in a home whose checkpoints cannot be loaded any more; they are kept.",
        rich_help_panel="Daemon",
    ),
]


def join(
    home: HomeOption = DEFAULT_HOME,
    swarm: Annotated[str | None, setting("swarm", metavar="NAME|FILE|ID")] = None,
    steps: Annotated[int | None, setting("steps")] = None,
    seed: Annotated[int | None, setting("seed")] = None,
    peer: Annotated[list[str] | None, setting("network.peers", metavar="MULTIADDR|@FILE")] = None,
    host: Annotated[str | None, setting("network.host", metavar="IP")] = None,
    port: Annotated[int | None, setting("network.port")] = None,
    announce: Annotated[list[str] | None, setting("network.announce", metavar="MULTIADDR")] = None,
    address_file: Annotated[Path | None, setting("network.address_file", metavar="FILE")] = None,
    model: Annotated[str | None, setting("policy.model", metavar="NAME|DIR")] = None,
    device: Annotated[str | None, setting("policy.device", metavar="DEVICE")] = None,
    devices: DevicesOption = None,
    dtype: Annotated[str | None, setting("policy.dtype", metavar="DTYPE")] = None,
    lora: Annotated[str | None, setting("policy.lora_rank", metavar="r=RANK[,alpha=ALPHA]")] = None,
    generator: Annotated[str | None, setting("policy.generator", metavar="NAME")] = None,
    temperature: Annotated[float | None, setting("policy.temperature")] = None,
    max_new_tokens: Annotated[int | None, setting("policy.max_new_tokens")] = None,
    threads: Annotated[int | None, setting("policy.threads")] = None,
    memory_limit: Annotated[str | None, setting("policy.memory_limit", metavar="SIZE|PERCENT")] = None,
    local: Annotated[int | None, setting("learning.local")] = None,
    external: Annotated[int | None, setting("learning.external")] = None,
    group_size: Annotated[int | None, setting("learning.group_size")] = None,
    algorithm: Annotated[str | None, setting("learning.algorithm", metavar="grpo|dr_grpo|gspo|ppo")] = None,
    external_loss: Annotated[
        str | None, setting("learning.external_loss", metavar="as_own|topr|tis|imitate")
    ] = None,
    sampler: Annotated[str | None, setting("learning.sampler", metavar="uniform|scored")] = None,
    lr: Annotated[float | None, setting("learning.learning_rate")] = None,
    schedule: Annotated[str | None, setting("learning.schedule", metavar="constant|cosine")] = None,
    total_steps: Annotated[int | None, setting("learning.total_steps")] = None,
    checkpoint_every: Annotated[int | None, setting("storage.checkpoint_every")] = None,
    evaluate_every: Annotated[int | None, setting("observe.evaluate_every")] = None,
    http: Annotated[str | None, setting("observe.http", metavar="HOST:PORT")] = None,
    log_format: Annotated[str | None, setting("observe.log_format", metavar="auto|console|json")] = None,
    log_level: Annotated[str | None, setting("observe.log_level", metavar="LEVEL")] = None,
    from_: FromOption = None,
    fresh: FreshOption = False,
    new_identity: NewIdentityOption = False,
) -> None:
    """Join a swarm, or start one, and train until stopped.

    Without arguments: the home is created where needed, the hardware is probed, known peers are tried, and
    the command with which others join is printed. The first Ctrl-C finishes or drops the step, writes a
    checkpoint and leaves; the second leaves at once. The same home resumes where it stopped.
    """
    given = {
        "swarm": swarm,
        "steps": steps,
        "seed": seed,
        "network.peers": read_peers(peer),
        "network.host": host,
        "network.port": port,
        "network.announce": announce,
        "network.address_file": address_file,
        "policy.model": model,
        "policy.device": device,
        "policy.dtype": dtype,
        **parse_lora(lora),
        "policy.generator": generator,
        "policy.temperature": temperature,
        "policy.max_new_tokens": max_new_tokens,
        "policy.threads": threads,
        "policy.memory_limit": memory_limit,
        "learning.local": local,
        "learning.external": external,
        "learning.group_size": group_size,
        "learning.algorithm": algorithm,
        "learning.external_loss": external_loss,
        "learning.sampler": sampler,
        "learning.learning_rate": lr,
        "learning.schedule": schedule,
        "learning.total_steps": total_steps,
        "storage.checkpoint_every": checkpoint_every,
        "observe.evaluate_every": evaluate_every,
        "observe.http": http,
        "observe.log_format": log_format,
        "observe.log_level": log_level,
    }
    config = load_config(home_path(home), overrides(given), FLAGS)
    if devices is not None:
        if device is not None:
            raise ConfigError("--device and --devices are both given: one peer, or one a device? keep one")
        if from_ is not None or fresh or new_identity:
            raise ConfigError(
                "--from, --fresh and --new-identity are about one home: give them with --home "
                "HOME/devices/DEVICE and without --devices"
            )
        raise typer.Exit(join_devices(config, given, devices))
    raise typer.Exit(run(config, open_home(home, new_identity=new_identity), Beginning(from_, fresh)))
