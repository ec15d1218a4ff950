"""Every setting of the configuration by its full name, and its flag.

A flag is declared once, at its field: `lr: Annotated[float, Flag("--lr")]`. The options of a command, their
help, and the flag that an error names are all derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_origin

from pydantic.fields import FieldInfo

from swarmd.config.base import Flag, Slice
from swarmd.config.slices import Config


@dataclass(frozen=True)
class Setting:
    """One field of the configuration that is not a section."""

    key: str
    """Full name, such as "learning.local"."""
    field: FieldInfo

    @property
    def section(self) -> str:
        """The section that contains it, such as "learning"; empty at the top."""
        return self.key.rpartition(".")[0]

    @property
    def has_parts(self) -> bool:
        """Whether its value has named parts of its own, such as the arguments of a chat template."""
        return get_origin(self.field.annotation) is Mapping

    @property
    def flag(self) -> Flag | None:
        """None: can only be set in config.toml or the environment."""
        return next((mark for mark in self.field.metadata if isinstance(mark, Flag)), None)


def slice_of(field: FieldInfo) -> type[Slice] | None:
    """Return the class of a section such as [learning], None for a plain setting."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Slice) else None


def settings_of(model: type[Slice], prefix: str = "") -> Iterator[Setting]:
    """Yield the settings of `model` and of its sections, in the order of their declaration."""
    for name, field in model.model_fields.items():
        section = slice_of(field)
        if section is None:
            yield Setting(prefix + name, field)
        else:
            yield from settings_of(section, f"{name}.")


SETTINGS: Mapping[str, Setting] = {setting.key: setting for setting in settings_of(Config)}

FLAGS: Mapping[str, str] = {key: setting.flag.name for key, setting in SETTINGS.items() if setting.flag}
"""Setting -> flag, such as {"learning.learning_rate": "--lr"}. Two settings may share one flag."""
