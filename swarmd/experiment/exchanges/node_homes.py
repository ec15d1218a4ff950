"""The home of a node that is a daemon: created from the experiment's settings, and read when the node is
done.

A daemon records less about a step than an experiment's own nodes do: no rewards by task, and no seconds by
phase.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol import KeyPair, Manifest
from swarmd.addresses import listen_address
from swarmd.config import LearningConfig, PolicyConfig
from swarmd.config.template import toml_value
from swarmd.errors import StorageError
from swarmd.experiment.journal import Line
from swarmd.finite import finite
from swarmd.learning import StepMetrics
from swarmd.storage import Checkpoint, Checkpoints, Database, Home
from swarmd.storage.durable import OUT, disk_error, write_whole

HOST = "127.0.0.1"
CHECKPOINTS_KEPT = 2  # the newest, and a spare in case it is damaged


def make_home(path: Path, key: KeyPair, manifest: Manifest) -> Home:
    """Create a home with this identity, in this swarm; an existing one is left unchanged.

    Raises ConfigError, StorageError.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(Home(path).identity_path, key.to_libp2p())
    except OSError as error:
        raise disk_error(f"make the home {path}", error, OUT) from error
    home = Home.open(path)
    home.write_manifest(manifest.to_bytes())
    return home


def address_of(home: Home) -> str:
    """Return the address at which the others reach its daemon."""
    return f"{listen_address(HOST, home.read_port() or 0)}/p2p/{home.key().peer_id}"


def write_settings(
    home: Home,
    manifest: Manifest,
    others: Sequence[str],
    *,
    policy: PolicyConfig,
    learning: LearningConfig,
    checkpoint_every: int,
) -> None:
    """Write its config.toml; `others` are the addresses of the other nodes. Raises StorageError."""
    sections: dict[str, Mapping[str, Any]] = {
        "network": {"host": HOST, "peers": list(others)},
        "policy": policy.model_dump(mode="json", exclude_unset=True, exclude_none=True),
        "learning": learning.model_dump(mode="json", exclude_unset=True, exclude_none=True),
        "storage": {"checkpoint_every": checkpoint_every, "checkpoints_kept": CHECKPOINTS_KEPT},
        # The experiment asks the held-out questions, so the daemon's own evaluations would only take time.
        "observe": {"log_format": "json", "evaluate_every": 0},
    }
    lines = [f'swarm = "{manifest.swarm_id.hex()}"']
    for name, settings in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in settings.items())]
    try:
        write_whole(home.config_path, "\n".join([*lines, ""]).encode())
    except OSError as error:
        raise disk_error(f"write {home.config_path}", error, OUT) from error


def newest_checkpoint(home: Home) -> Checkpoint | None:
    """Return the checkpoint from which its daemon would continue. Raises StorageError."""
    return Checkpoints(home.checkpoints_path, CHECKPOINTS_KEPT).load_latest()


def lines_of(home: Home, node: int, rounds: int) -> list[Line]:
    """Return a node's lines of its first `rounds` steps, in the format of a run's file.

    Raises StorageError if some are missing.
    """
    with home.lock(), Database(home.database_path) as database:
        rows = sorted(database.steps.metrics(rounds))
    if [step for step, _ in rows] != list(range(1, rounds + 1)):
        raise StorageError(
            f"{home.database_path} has {len(rows)} of {rounds} steps: the same command continues a daemon "
            f"that was stopped; if this error remains, remove {home.path.parent} to play the run again"
        )
    return [_line(step - 1, node, written) for step, written in rows]


def _line(round_: int, node: int, written: Mapping[str, Any]) -> Line:
    """`written` is what the daemon recorded about the step."""
    metrics: dict[str, Any] = {
        field.name: written.get(field.name) for field in dataclasses.fields(StepMetrics)
    }
    own, external = metrics["groups_own"], metrics["groups_external"]
    used = metrics["groups_own_used"] + metrics["groups_external_used"]
    rewards = own * (metrics["reward_own"] or 0.0) + external * (metrics["reward_external"] or 0.0)
    return {
        "kind": "node",
        "round": round_,
        "node": node,
        "swarm_round": written["round"],
        "reward_own": metrics["reward_own"] or 0.0,
        # All groups of an experiment have the same size, so this is the mean over completions.
        "reward_mixed": rewards / (own + external),
        "groups_generated": own,
        "external_share": metrics["groups_external_used"] / used if used else None,
        "external_peers": written["external_peers"],
        "tokens_generated": written["tokens_generated"],
        "metrics": finite(metrics),
        "seconds": {"step": written["seconds"]},
    }
