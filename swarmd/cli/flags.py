"""Settings as options of a command: help, default, type and choices come from `swarmd.config.flag_list`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from swarmd.cli.spelling import READERS, WRITERS
from swarmd.config.flag_list import FlagText, Kind, read

FLAGS: Mapping[str, FlagText] = {each.key: each for each in read()}
"""By the full name of the setting, in the order of the help."""

Given = Mapping[str, object]
"""Settings by full name, such as "learning.local"; None for a flag that was not typed."""

_PANELS: Mapping[str, str] = {
    "": "Swarm",
    "network": "Network",
    "policy": "Model",
    "learning": "Learning",
    "storage": "Daemon",
    "observe": "Daemon",
}

SUGGESTED: Mapping[str, Sequence[str]] = {
    "--device": ("auto", "cpu", "cuda", "cuda:0", "mps"),
    "--model": ("embedded", "embedded-visual", "smollm2-135m"),
    "--swarm": ("starter", "sapo", "code", "draw", "guessing", "visual"),
}
"""Values that a shell suggests, although others are valid too."""


def with_settings(
    *keys: str, listed_after: Mapping[str, str] | None = None, words: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each of these settings.

    The command receives what was typed as its first argument, a `Given`. `listed_after` places the command's
    own options in the help: {"devices": "--device"} lists the argument `devices` after --device. `words` is
    the help of settings that this command uses in a way of its own, with the default.
    """
    settings: dict[str, FlagText] = {}
    for key in keys:
        settings.setdefault(FLAGS[key].flag, FLAGS[key])  # if two share a flag, the first explains it
    for key, text in (words or {}).items():
        settings[FLAGS[key].flag] = replace(FLAGS[key], help=text, default=None)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            given: dict[str, object] = {}
            for flag, setting in settings.items():
                given |= _read(flag, setting.key, values.pop(_argument(flag)))
            command(given, **values)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [_option(setting) for setting in settings.values()]
        for parameter in own:
            flag = (listed_after or {}).get(parameter.name)
            place = len(parameters) if flag is None else list(settings).index(flag) + 1
            parameters.insert(place, parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {}  # those of `command`; the signature has its own
        return run

    return decorate


_TYPES: Mapping[Kind, type] = {"int": int, "float": float, "path": Path, "text": str, "switch": bool}


def _option(setting: FlagText) -> inspect.Parameter:
    """Return the argument that typer fills. Without the flag it is None, and the setting stays untouched."""
    option = typer.Option(
        None,
        setting.flag,
        help=_help(setting),
        metavar=setting.metavar,  # None leaves it to typer, which shows the type
        show_default=False,  # it would be this None
        rich_help_panel=_PANELS[setting.section],
        autocompletion=suggesting(SUGGESTED.get(setting.flag, setting.choices)),
    )
    annotation = _type(setting) | None
    return inspect.Parameter(
        _argument(setting.flag), inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation
    )


def suggesting(values: Sequence[str]) -> Callable[[str], list[str]] | None:
    """Return a completer that suggests those of `values` that start with the text so far."""

    def suggest(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return suggest if values else None


def _help(setting: FlagText) -> str:
    if setting.is_repeated:
        return f"{setting.help} Repeat the flag for several."
    shown = setting.default if setting.kind != "switch" else None
    return setting.help if shown is None else f"{setting.help} (default: {setting.default})"


def _argument(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _type(setting: FlagText) -> Any:
    """Return the type that typer converts the text to."""
    if setting.is_repeated:
        return list[str]
    return str if setting.flag in READERS else _TYPES[setting.kind]


def _switched(setting: FlagText) -> bool:
    """Return what a switch sets: --no-relay switches off."""
    return not setting.flag.startswith("--no-")


def _read(flag: str, key: str, value: Any) -> dict[str, object]:
    if value is None or value == []:
        return {key: None}
    if FLAGS[key].kind == "switch":
        return {key: _switched(FLAGS[key])}
    return READERS[flag](value) if flag in READERS else {key: value}


def overrides(given: Given) -> dict[str, Any]:
    """Return what was typed, nested as in config.toml: {"learning.local": 4} becomes {"learning": {"local":
    4}}.
    """
    nested: dict[str, Any] = {}
    for key, value in given.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def arguments(given: Given) -> list[str]:
    """Return the flags that give these settings, as one would type them."""
    typed: dict[str, list[str]] = {}
    for key, value in given.items():
        flag = FLAGS[key].flag
        if value is None or flag in typed:
            continue
        if FLAGS[key].kind == "switch":
            typed[flag] = [flag] if value == _switched(FLAGS[key]) else []
            continue
        several = WRITERS[flag](given) if flag in WRITERS else _texts(value)
        typed[flag] = [f"{flag}={text}" for text in several]
    return [each for several in typed.values() for each in several]


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
