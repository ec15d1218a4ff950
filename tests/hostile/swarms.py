"""Manifest files for attacks that need other tasks than those of the starter swarm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STARTER = "starter"


def written(swarm: Mapping[str, Any] | str, directory: Path) -> str:
    """What --swarm takes: the name of a preset, or the path of a file with these tables."""
    if isinstance(swarm, str):
        return swarm
    path = directory / "swarm.toml"
    top = "\n".join(f"{key} = {_toml(value)}" for key, value in swarm.items() if key != "tasks")
    tasks = "\n".join(_table(task) for task in swarm["tasks"])
    path.write_text(f"{top}\n{tasks}\n")
    return str(path)


def _table(task: Mapping[str, Any]) -> str:
    own = "\n".join(f"{key} = {_toml(value)}" for key, value in task.items() if key != "config")
    config = "\n".join(f"{key} = {_toml(value)}" for key, value in task.get("config", {}).items())
    return f"\n[[tasks]]\n{own}\n[tasks.config]\n{config}\n"


def _toml(value: object) -> str:
    """Numbers, truth, text, lists and tables of these; a time is text that looks like one."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_toml(part)}' for key, part in value.items())}}}"
    if isinstance(value, str) and value.endswith("Z") and value[:4].isdigit():
        return value
    return json.dumps(value)
