"""The configuration: what can be set, how it is read, and the file that a person edits."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmd.config.loading import load_config
    from swarmd.config.slices import (
        Config,
        LearningConfig,
        NetworkConfig,
        ObserveConfig,
        PolicyConfig,
        StorageConfig,
    )
    from swarmd.config.template import default_config_toml

__all__ = [
    "Config",
    "LearningConfig",
    "NetworkConfig",
    "ObserveConfig",
    "PolicyConfig",
    "StorageConfig",
    "default_config_toml",
    "load_config",
]


def __getattr__(name: str) -> object:
    """Imported at first use: pydantic takes a third of a second, and --help should not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"default_config_toml": "template", "load_config": "loading"}.get(name, "slices")
    return getattr(import_module(f"swarmd.config.{module}"), name)
