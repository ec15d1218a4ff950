"""The settings of a run as the page shows them: all values, which were set, and what the plan says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from swarmd.config import Config

SECRET = {"observe": {"http_token"}}
"""Never shown, because someone may share a screenshot of the page."""


def settings_view(config: Config, plan: Sequence[str]) -> Mapping[str, JsonValue]:
    """Return {"settings": values by section, "changed": full names of what was set, "plan": {"reasons":
    [...]}}.
    """
    shown: JsonValue = config.model_dump(mode="json", exclude=SECRET)
    given = config.model_dump(mode="json", exclude=SECRET, exclude_unset=True)
    return {"settings": shown, "changed": list(_names(given)), "plan": {"reasons": list(plan)}}


def _names(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name
