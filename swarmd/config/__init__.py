"""The configuration: what can be set, how it is read, and the file that a person edits."""

from typing import TYPE_CHECKING

from swarmd.lazy import at_first_use

if TYPE_CHECKING:
    from swarmd.config.learning import LearningConfig
    from swarmd.config.loading import load_config
    from swarmd.config.slices import (
        Config,
        NetworkConfig,
        ObserveConfig,
        PolicyConfig,
        StorageConfig,
    )
    from swarmd.config.template import default_config_toml
    from swarmd.config.wording import explained

__all__ = [
    "Config",
    "LearningConfig",
    "NetworkConfig",
    "ObserveConfig",
    "PolicyConfig",
    "StorageConfig",
    "default_config_toml",
    "explained",
    "load_config",
]

__getattr__ = at_first_use(
    __name__,
    {
        **dict.fromkeys(__all__, "slices"),
        "LearningConfig": "learning",
        "default_config_toml": "template",
        "explained": "wording",
        "load_config": "loading",
    },
)
"""pydantic takes a third of a second to import, and --help should not wait for it."""
