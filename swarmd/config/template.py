"""The config.toml that `swarmd init` writes: every setting, commented out, with its help and its default."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap

from swarmd.config.base import Slice
from swarmd.config.settings import slice_of
from swarmd.config.slices import Config

COLUMNS = 100  # width of comment lines

_HEADER = """\
## Settings of this peer. A line '# name = value' shows a default: remove its '# ' to change it.
## Flags of `swarmd join` override SWARMD_* environment variables (SWARMD_LEARNING__LOCAL=4), which
## override this file.
"""


def default_config_toml() -> str:
    """Return the file as text. It sets nothing, so that the defaults of later versions apply."""
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
            yield f"# {name} = {toml_value((field.examples or [''])[0])}    # an example: unset by default"
        else:
            yield f"# {name} = {toml_value(value)}"


def _comment(text: str) -> list[str]:
    return wrap(text, COLUMNS, initial_indent="## ", subsequent_indent="## ")


def toml_value(value: object) -> str:
    """Format a setting as TOML, which writes strings, numbers, booleans and arrays as JSON does, but not
    tables.
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{toml_value(name)} = {toml_value(each)}' for name, each in value.items())}}}"
    text = json.dumps(value, ensure_ascii=False)  # TOML has no escapes for surrogate halves
    return text.replace("\x7f", "\\u007f")  # JSON allows it unescaped, TOML does not
