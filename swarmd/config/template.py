"""The config.toml that `swarmd init` writes: every setting, commented out, with its help and its default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import wrap

from swarmd.config.settings import slice_of
from swarmd.config.slices import Config, Slice

COLUMNS = 100  # width of comment lines

_HEADER = """\
## Settings of this peer. A line '# name = value' shows a default: remove its '# ' to change it.
## Flags of `swarmd join` override SWARMD_* environment variables (SWARMD_LEARNING__LOCAL=4), which
## override this file.
"""


def default_config_toml() -> str:
    """The file as text. It sets nothing, so that the defaults of later versions apply."""
    lines: list[str] = [_HEADER]
    lines += _settings(Config)
    for name, field in Config.model_fields.items():
        if (section := slice_of(field)) is not None:
            lines += ["", *_comment(section.__doc__ or ""), f"[{name}]", *_settings(section)]
    return "\n".join(lines).rstrip() + "\n"


def _settings(model: type[Slice]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == "home" or slice_of(field) is not None:
            continue
        yield from _comment(field.description or "")
        value = field.default
        if value is None:
            yield f"# {name} = {_toml((field.examples or [''])[0])}    # an example: unset by default"
        else:
            yield f"# {name} = {_toml(value)}"


def _comment(text: str) -> list[str]:
    return wrap(text, COLUMNS, initial_indent="## ", subsequent_indent="## ")


def _toml(value: object) -> str:
    """A default as TOML, which writes strings, numbers, booleans and arrays as JSON does."""
    return json.dumps(value)
