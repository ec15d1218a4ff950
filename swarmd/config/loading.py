"""Read the configuration: flags override SWARMD_* variables, which override config.toml, which overrides
defaults.

An error says where the wrong value came from.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from swarmd.config.base import Slice
from swarmd.config.plain_value import plain_value
from swarmd.config.settings import FLAGS, SETTINGS, slice_of
from swarmd.config.slices import Config
from swarmd.config.wording import explained
from swarmd.errors import ConfigError
from swarmd.quoting import quoted
from swarmd.toml_files import parse_toml, read_toml
from swarmd.toml_lines import line_of

CONFIG_BYTES_MAX = 2**20  # a config.toml has a few KiB; anything above 1 MiB is a different file
ENV_PREFIX = "SWARMD_"
ENV_DELIMITER = "__"
OF_A_MANIFEST = frozenset({"genesis", "round_seconds", "tasks"})
"""Keys that every swarm manifest has at its top level, and no settings file has."""
CLOSE_ENOUGH = 0.6  # difflib's default: `locl` finds `local`, `banana` finds nothing

HUB_NUMBERS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")

Tree = dict[str, Any]


class _Environment(Config, BaseSettings):
    """Tells the sources below which fields exist. It is never instantiated."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, env_ignore_empty=True, extra="forbid"
    )


class _EnvSource(EnvSettingsSource):
    """Accepts lists written as a,b as well as ["a", "b"]."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            return [part.strip() for part in value.split(",") if part.strip()]
        return super().decode_complex_value(field_name, field, value)


@dataclass(frozen=True)
class _Source:
    """One layer of settings, which can locate a value within itself."""

    values: Tree
    environment: bool = False
    file: Path | None = None
    text: str = ""

    def holds(self, key: tuple[str, ...]) -> bool:
        node: object = self.values
        for part in key:
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    def place(self, key: tuple[str, ...]) -> str:
        if self.file is not None:
            return f"{self.file}, line {line_of(self.text, key)}"
        if self.environment:
            return f"environment variable {ENV_PREFIX}{ENV_DELIMITER.join(key).upper()}"
        return FLAGS.get(".".join(key), "command line")


def load_config(home: Path, overrides: Tree) -> Config:
    """Return the whole configuration of the peer in `home`.

    `overrides` are the flags of the command line, nested like the file: {"learning": {"local": 4}}. They
    override everything else. Raises ConfigError, which names the file and line, the variable or the flag, the
    key, and what is wrong with the value.
    """
    return load_with_origins(home, overrides)[0]


def load_with_origins(home: Path, overrides: Tree, file: Path | None = None) -> tuple[Config, dict[str, str]]:
    """As `load_config`, and also return where each setting that is not a default comes from: full name ->
    place.

    `file` is read instead of the home's config.toml. Raises ConfigError.
    """
    sources = _sources(home / "config.toml" if file is None else file, overrides)
    merged: Tree = {}
    for source in reversed(sources):
        _refuse_home(source)
        _require_sections(source)
        merged = _merged(merged, source.values)
    try:
        config = Config.model_validate(merged | {"home": home})
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(detail, sources) for detail in error.errors(include_url=False))
        ) from error
    return config, dict(_origins(sources))


def as_written(home: Path, overrides: Tree, setting: str) -> object:
    """Return the value of `setting` as it was written, None if it was not. Raises ConfigError."""
    key = tuple(setting.split("."))
    source = next((each for each in _sources(home / "config.toml", overrides) if each.holds(key)), None)
    return None if source is None else reduce(getitem, key, source.values)


def _sources(file: Path, overrides: Tree) -> list[_Source]:
    return [_Source(overrides), _Source(_environment(), environment=True), _read_file(file)]


def _origins(sources: list[_Source]) -> Iterator[tuple[str, str]]:
    """Yield the place of each setting, in the first of `sources` that contains it."""
    for name in SETTINGS:
        key = tuple(name.split("."))
        source = next((source for source in sources if source.holds(key)), None)
        if source is not None:
            yield name, source.place(key)


def _read_file(path: Path) -> _Source:
    """Return the layer of the file; empty if there is no file. Raises ConfigError."""
    try:
        text = read_toml(path, bytes_max=CONFIG_BYTES_MAX, kind="a config file")
    except FileNotFoundError:
        return _Source({}, file=path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; check its owner and permissions"
        ) from error
    values = parse_toml(str(path), text)
    if values.keys() >= OF_A_MANIFEST:
        named = shlex.quote(str(path))
        raise ConfigError(
            f"{path} is a swarm manifest, not a settings file: check it with `swarmd swarm verify "
            f"{named}`, and join its swarm with --swarm {named}"
        )
    return _Source(values, file=path, text=text)


def _environment() -> Tree:
    """Return the layer of SWARMD_* variables. SWARMD_HOME belongs to the command line. Raises ConfigError."""
    for name in os.environ:
        _refuse_unknown_variable(name)
    _require_hub_variables()
    try:
        values: Tree = _EnvSource(_Environment)()
    except SettingsError as error:
        raise ConfigError(f"environment variable {ENV_PREFIX}...: {error}: {error.__cause__}") from error
    values.pop("home", None)
    _read_parts(values)
    return values


def _read_parts(values: Tree) -> None:
    """Read the variable of one part of a setting as its flag is read: a part has no type of its own. A value
    that has no parts is refused later.
    """
    for name, text in os.environ.items():
        *key, part = name.upper().removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)
        setting = SETTINGS.get(".".join(key))
        if not (is_setting(name) and text and setting is not None and setting.has_parts):
            continue
        with suppress(KeyError, TypeError):
            reduce(getitem, key, values)[part] = plain_value(text)


def is_setting(variable: str) -> bool:
    """Whether a variable of the environment is meant for swarmd, which reads them in upper and lower case."""
    return variable.upper().startswith(ENV_PREFIX)


def _require_hub_variables() -> None:
    """Raise ConfigError for variables that the hub's library reads on import and cannot use."""
    for name in HUB_NUMBERS:
        if not (given := os.environ.get(name, "0").strip()).isdecimal():
            raise ConfigError(f"environment variable {name} is {quoted(given)}: give seconds, or unset it")
    if not (given := os.environ.get("HF_ENDPOINT", "")):
        return
    try:
        parts = urlsplit(given)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, or an unclosed bracket
        is_address = False
    if not is_address:
        raise ConfigError(
            f"environment variable HF_ENDPOINT is {quoted(given)}: give the address of a hub, such as "
            "https://hub.example, or unset it"
        )


def _refuse_unknown_variable(name: str) -> None:
    """Raise ConfigError for a misspelt setting. Other variables are ignored: Kubernetes sets some of
    its own.
    """
    if not is_setting(name):
        return
    key = name.upper().removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)
    close = get_close_matches(key[0], Config.model_fields, n=1, cutoff=CLOSE_ENOUGH)
    if key[0] not in Config.model_fields and (len(key) > 1 or close):
        hint = (
            f"; did you mean {ENV_PREFIX}{ENV_DELIMITER.join([*close, *key[1:]]).upper()}?" if close else ""
        )
        raise ConfigError(f"environment variable {name}: unknown{hint}")
    for parts in range(1, len(key)):
        setting = ".".join(key[:parts])
        if setting in SETTINGS and not SETTINGS[setting].has_parts:
            whole = f"{ENV_PREFIX}{ENV_DELIMITER.join(key[:parts]).upper()}"
            raise ConfigError(
                f"environment variable {name}: unknown, because {setting} has no parts: set {whole}"
            )


def _refuse_home(source: _Source) -> None:
    if source.holds(("home",)):
        raise ConfigError(f"{source.place(('home',))}: home cannot be set here: use --home or SWARMD_HOME")


def _require_sections(source: _Source) -> None:
    """Raise ConfigError for a section that is not a table. A layer above it would replace it unseen."""
    for name, field in Config.model_fields.items():
        if slice_of(field) and not isinstance(source.values.get(name, {}), dict):
            raise ConfigError(
                f"{source.place((name,))}: {name}: is a section, not a setting: set its keys, such as "
                f"{next(key for key in SETTINGS if key.startswith(f'{name}.'))}"
            )


def _merged(low: Tree, high: Tree) -> Tree:
    """Return `low` overridden by `high`, table by table."""
    result = dict(low)
    for key, value in high.items():
        below = result.get(key)
        both_tables = isinstance(value, dict) and isinstance(below, dict)
        result[key] = _merged(below, value) if both_tables else value  # type: ignore[arg-type]
    return result


def _explain(detail: ErrorDetails, sources: list[_Source]) -> str:
    """Return one error as 'place: key: what is wrong (got value)'."""
    key = _known_part(detail)
    source = next((source for source in sources if source.holds(key)), None)
    place = f"{source.place(key)}: " if source else ""
    name = ".".join(key)
    if detail["type"] == "extra_forbidden":
        return f"{place}{name}: unknown{_did_you_mean(key)}"
    return f"{place}{name}: {explained(detail)}"


def _known_part(detail: ErrorDetails) -> tuple[str, ...]:
    """Return the key alone: pydantic adds positions in lists and members of unions."""
    key: list[str] = []
    model: type[Slice] | None = Config
    for part in detail["loc"]:
        if model is None or not isinstance(part, str):
            break
        key.append(part)
        field = model.model_fields.get(part)
        model = slice_of(field) if field else None
    return tuple(key)


def _did_you_mean(key: tuple[str, ...]) -> str:
    """Suggest the closest key of the same section, else the same key in another section."""
    sections = {name: section for name, field in Config.model_fields.items() if (section := slice_of(field))}
    siblings = sections[key[0]].model_fields if len(key) > 1 and key[0] in sections else Config.model_fields
    close = get_close_matches(key[-1], siblings, n=1, cutoff=CLOSE_ENOUGH)
    if close:
        return f"; did you mean {'.'.join([*key[:-1], *close])}?"
    for name, section in sections.items():
        if key[-1] in section.model_fields:
            return f"; did you mean {name}.{key[-1]}?"
    return ""
