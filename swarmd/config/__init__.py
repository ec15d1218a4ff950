"""The configuration: what can be set, how it is read, and the file that a person edits."""

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
