"""Open the sinks that `observe.sinks` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.observe.sinks.interface import Sink
from swarmd.observe.sinks.switching import SwitchedSink

SINKS: Mapping[str, str] = {
    "tensorboard": "TensorboardSink",
    "trackio": "TrackioSink",
    "wandb": "WandbSink",
}
"""Name of the setting, of the package, of the extra and of our module -> the class in that module."""


def require_packages(names: Sequence[str]) -> None:
    """Fail at the start rather than at the first step. Imports nothing. Raises ConfigError."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(
                f"observe.sinks names {name}, which is not installed: `pip install 'swarmd[{name}]'`, or "
                f"remove {name} from observe.sinks"
            )


def open_sinks(names: Sequence[str], directory: Path, run: str) -> list[SwitchedSink]:
    """Open the sinks, each in its own folder below `directory`. Blocks while packages are imported.

    `run`: the name of the run there.
    """
    return [SwitchedSink(name, partial(_open, name, directory / name, run)) for name in dict.fromkeys(names)]


def _open(name: str, directory: Path, run: str) -> Sink:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    sink: Sink = getattr(import_module(f"swarmd.observe.sinks.{name}"), SINKS[name])(directory, run)
    return sink
