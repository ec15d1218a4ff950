"""Flags whose text is not simply the value of one setting: --lora, --peer and --template-arg."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from swarmd.config.plain_value import plain_value
from swarmd.errors import ConfigError
from swarmd.quoting import quoted


def read_lora(text: str) -> dict[str, object]:
    """Read r=16 or r=16,alpha=32 as settings of the policy. Raises typer.BadParameter."""
    names = {"r": "policy.lora_rank", "alpha": "policy.lora_alpha"}
    settings: dict[str, object] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in names or not value.isascii() or not value.isdigit():
            break
        settings[names[name]] = int(value)
    else:
        if "policy.lora_rank" in settings:
            return settings
    expected = "r=RANK or r=RANK,alpha=ALPHA, such as r=16,alpha=32"
    raise typer.BadParameter(f"{quoted(text)} is not {expected}", param_hint="--lora")


def write_lora(settings: Mapping[str, object]) -> list[str]:
    """Write the text that `read_lora` reads."""
    rank, alpha = settings["policy.lora_rank"], settings.get("policy.lora_alpha")
    return [f"r={rank}" if alpha is None else f"r={rank},alpha={alpha}"]


def read_peers(values: Sequence[str]) -> dict[str, object]:
    """Read addresses, and files of addresses (@FILE, one per line). Raises ConfigError."""
    peers: list[str] = []
    for value in values:
        peers += _addresses_in(Path(value[1:])) if value.startswith("@") else [value]
    return {"network.peers": peers}


def _addresses_in(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"--peer @{path}: the file cannot be read ({reason}): give a file of addresses"
        ) from error
    addresses = [line.strip() for line in text.splitlines() if line.strip()]
    if not addresses:
        raise ConfigError(f"--peer @{path}: the file holds no address: is the peer that writes it running?")
    return addresses


def read_template_args(values: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE pairs; each value as `plain_value` reads it. Raises BadParameter."""
    args: dict[str, object] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise typer.BadParameter(
                f"{quoted(value)} is not NAME=VALUE, such as enable_thinking=false",
                param_hint="--template-arg",
            )
        if name in args:
            raise typer.BadParameter(f"{name} is given twice: remove one", param_hint="--template-arg")
        args[name] = plain_value(text)
    return {"policy.template_args": args}


def write_template_args(settings: Mapping[str, object]) -> list[str]:
    """Write the texts that `read_template_args` reads."""
    args = settings["policy.template_args"]
    plain = args.items() if isinstance(args, Mapping) else ()
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in plain]


READERS: Mapping[str, Callable[[Any], dict[str, object]]] = {
    "--lora": read_lora,
    "--peer": read_peers,
    "--template-arg": read_template_args,
}
"""Flag -> function that turns its text, or its texts if it can be repeated, into settings."""

WRITERS: Mapping[str, Callable[[Mapping[str, object]], list[str]]] = {
    "--lora": write_lora,
    "--template-arg": write_template_args,
}
"""Flag -> function that turns settings into its texts; other flags are written as their values."""
