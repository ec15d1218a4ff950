"""Options that are settings: help and default come from the configuration, so that no two texts disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from swarmd import places
from swarmd.config import Config
from swarmd.config.template import slice_of
from swarmd.errors import ConfigError

FLAGS: Mapping[str, str] = {
    "swarm": "--swarm",
    "steps": "--steps",
    "seed": "--seed",
    "network.peers": "--peer",
    "network.host": "--host",
    "network.port": "--port",
    "network.announce": "--announce",
    "network.address_file": "--address-file",
    "policy.model": "--model",
    "policy.device": "--device",
    "policy.dtype": "--dtype",
    "policy.lora_rank": "--lora",
    "policy.lora_alpha": "--lora",
    "policy.generator": "--generator",
    "policy.temperature": "--temperature",
    "policy.max_new_tokens": "--max-new-tokens",
    "policy.threads": "--threads",
    "policy.memory_limit": "--memory-limit",
    "learning.local": "--local",
    "learning.external": "--external",
    "learning.group_size": "--group-size",
    "learning.algorithm": "--algorithm",
    "learning.external_loss": "--external-loss",
    "learning.sampler": "--sampler",
    "learning.learning_rate": "--lr",
    "learning.schedule": "--schedule",
    "learning.total_steps": "--total-steps",
    "storage.checkpoint_every": "--checkpoint-every",
    "observe.evaluate_every": "--evaluate-every",
    "observe.http": "--http",
    "observe.log_format": "--log-format",
    "observe.log_level": "--log-level",
}
"""Setting -> flag. Settings that are not here are set in config.toml or the environment."""

_PANELS: Mapping[str, str] = {
    "network": "Network",
    "policy": "Model",
    "learning": "Learning",
    "storage": "Daemon",
    "observe": "Daemon",
}
_SWARM_PANEL = "Swarm"


def setting(key: str, *, metavar: str | None = None) -> Any:
    """The typer option for a setting such as "learning.local"; without the flag it stays untouched."""
    field = _field(key)
    help_text = field.description or ""
    if field.default == ():
        help_text += " Repeat the flag for several."
    elif field.default is not None:
        help_text += f" (default: {field.default})"
    return typer.Option(
        FLAGS[key],
        help=help_text,
        metavar=metavar,
        show_default=False,  # typer knows the function's default only: None
        rich_help_panel=_PANELS.get(key.partition(".")[0], _SWARM_PANEL),
    )


def _field(key: str) -> FieldInfo:
    section, _, name = key.rpartition(".")
    model = slice_of(Config.model_fields[section]) if section else Config
    if model is None:
        raise ValueError(f"{section} is not a section of the configuration")
    return model.model_fields[name]


def overrides(values: Mapping[str, object]) -> dict[str, Any]:
    """{"learning.local": 4, "steps": None} -> {"learning": {"local": 4}}: what was given, nested."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        if value is None or value == [] or value == ():
            continue
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def arguments(values: Mapping[str, object]) -> list[str]:
    """The flags that give these settings: what `overrides` takes, as it would be typed."""
    typed: list[str] = []
    for key, value in values.items():
        if value is None or key == "policy.lora_alpha":
            continue
        if key == "policy.lora_rank":
            alpha = values.get("policy.lora_alpha")
            value = f"r={value}" if alpha is None else f"r={value},alpha={alpha}"
        several = value if isinstance(value, list | tuple) else (value,)
        typed += [f"{FLAGS[key]}={each}" for each in several]
    return typed


def parse_lora(text: str | None) -> dict[str, int]:
    """r=16 or r=16,alpha=32 as settings of the policy. Raises typer.BadParameter."""
    if text is None:
        return {}
    names = {"r": "policy.lora_rank", "alpha": "policy.lora_alpha"}
    parsed: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in names or not value.isascii() or not value.isdigit():
            break
        parsed[names[name]] = int(value)
    else:
        if "policy.lora_rank" in parsed:
            return parsed
    expected = "r=RANK or r=RANK,alpha=ALPHA, such as r=16,alpha=32"
    raise typer.BadParameter(f"{text!r} is not {expected}", param_hint="--lora")


def read_peers(values: Sequence[str] | None) -> list[str]:
    """The addresses given with --peer, those in files (@FILE, one a line) among them. Raises ConfigError."""
    peers: list[str] = []
    for value in values or ():
        peers += _addresses_in(Path(value[1:])) if value.startswith("@") else [value]
    return peers


def _addresses_in(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--peer @{path}: the file cannot be read ({error}): give a file of addresses"
        ) from error
    addresses = [line.strip() for line in text.splitlines() if line.strip()]
    if not addresses:
        raise ConfigError(f"--peer @{path}: the file holds no address: is the peer that writes it running?")
    return addresses


HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar=places.HOME_VARIABLE,
        metavar="DIR",
        help="Directory with this peer's key, config, checkpoints and records. (default: ~/.swarmd)",
        show_default=False,
    ),
]
DEFAULT_HOME = Path(places.DEFAULT_HOME)


def typed(context: typer.Context, name: str) -> bool:
    """Whether the option stands on the command line, rather than in the environment or nowhere."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def home_path(home: Path) -> Path:
    """The home as an absolute path. Raises ConfigError for the home of a user that is not there."""
    try:
        return home.expanduser().resolve()
    except RuntimeError as error:
        raise ConfigError(f"--home {home}: there is no such user: write the directory out") from error
