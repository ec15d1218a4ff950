"""Settings as options of a command: help, default and type come from the setting itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from swarmd.cli.spelling import READERS, WRITERS
from swarmd.config.settings import FLAGS, SETTINGS, Setting

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


def with_settings(
    *keys: str, listed_after: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option for each of these settings.

    The command takes as its first argument what was typed, a `Given`. `listed_after` says where in the help
    options of its own stand: {"devices": "--device"} lists the argument `devices` after --device.
    """
    settings: dict[str, Setting] = {}
    for key in keys:
        settings.setdefault(FLAGS[key], SETTINGS[key])  # two settings may share a flag: the first explains it

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            given: dict[str, object] = {}
            for flag, setting in settings.items():
                given |= _read(flag, setting.key, values.pop(_argument(flag)))
            command(given, **values)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [_option(flag, setting) for flag, setting in settings.items()]
        for parameter in own:
            flag = (listed_after or {}).get(parameter.name)
            place = len(parameters) if flag is None else list(settings).index(flag) + 1
            parameters.insert(place, parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {}  # those of `command`; the signature has its own
        return run

    return decorate


def _option(flag: str, setting: Setting) -> inspect.Parameter:
    """The argument that typer fills. Without the flag it is None, and the setting stays untouched."""
    option = typer.Option(
        None,
        flag,
        help=_help(setting),
        metavar=_metavar(setting),
        show_default=False,  # it would be this None
        rich_help_panel=_PANELS[setting.section],
    )
    annotation = _type(flag, setting) | None
    return inspect.Parameter(
        _argument(flag), inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation
    )


def _help(setting: Setting) -> str:
    text, default = setting.field.description or "", setting.field.default
    if _is_repeated(setting):
        return f"{text} Repeat the flag for several."
    return text if default is None else f"{text} (default: {default})"


def _metavar(setting: Setting) -> str | None:
    """The setting's own, else its choices; None leaves it to typer, which shows the type."""
    if setting.flag is not None and setting.flag.metavar is not None:
        return setting.flag.metavar
    annotation = setting.field.annotation
    return "|".join(get_args(annotation)) if get_origin(annotation) is Literal else None


def _argument(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _is_repeated(setting: Setting) -> bool:
    return isinstance(setting.field.default, tuple | Mapping)


def _type(flag: str, setting: Setting) -> Any:
    """What typer makes of the text. Choices stay text: the setting itself refuses a wrong one."""
    if _is_repeated(setting):
        return list[str]
    annotation = setting.field.annotation
    kinds = () if flag in READERS else (annotation, *get_args(annotation))
    return next((kind for kind in (int, float, Path) if kind in kinds), str)


def _read(flag: str, key: str, value: Any) -> dict[str, object]:
    if value is None or value == []:
        return {key: None}
    return READERS[flag](value) if flag in READERS else {key: value}


def overrides(given: Given) -> dict[str, Any]:
    """What was typed, nested as in config.toml: {"learning.local": 4} becomes {"learning": {"local": 4}}."""
    nested: dict[str, Any] = {}
    for key, value in given.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def arguments(given: Given) -> list[str]:
    """The flags that give these settings, as they would be typed."""
    typed: dict[str, list[str]] = {}
    for key, value in given.items():
        flag = FLAGS[key]
        if value is None or flag in typed:
            continue
        several = WRITERS[flag](given) if flag in WRITERS else _texts(value)
        typed[flag] = [f"{flag}={text}" for text in several]
    return [each for several in typed.values() for each in several]


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
