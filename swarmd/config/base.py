"""Building blocks of the configuration: the base class of slices, flags, and checks of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from swarmd.errors import ConfigError

STEPS_MAX = 1_000_000_000  # more than a year of the fastest steps


class Slice(BaseModel):
    """A part of the configuration that one package receives. Unknown keys are rejected by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Flag:
    """Marks a setting that can be given on the command line."""

    name: str
    metavar: str | None = None
    """What `--help` shows for the value; None: its choices or its type."""


def _given(value: object) -> object:
    """Pydantic expects a ValueError."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("the value is empty: give one, or remove the setting")
    return value


NOT_EMPTY = BeforeValidator(_given)
"""For a name or a file that may be missing: an empty one is an error, not a missing one."""


def read_by(read: Callable[[str], object]) -> AfterValidator:
    """Return a validator that keeps the text unchanged if `read` accepts it. Pydantic expects a
    ValueError.
    """

    def check(text: str) -> str:
        try:
            read(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(check)
