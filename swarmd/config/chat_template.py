"""Arguments for a model's chat template, such as enable_thinking=false: bounded, and frozen once read."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from swarmd.config.frozen import FrozenMapping
from swarmd.quoting import quoted, shortened

ARGS_MAX = 16  # a chat template reads one or two
NAME_CHARS_MAX = 64

TemplateValue = bool | int | float | str


def _value(value: object) -> object:
    """Reject, with one error, what pydantic would reject once for each type of the union."""
    if not isinstance(value, TemplateValue) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(
            f"{shortened(repr(value))} is no chat template argument: use true, false, a number or text"
        )
    return value


def _args(given: Mapping[str, TemplateValue]) -> Mapping[str, TemplateValue]:
    """Return an immutable copy. Raises ValueError."""
    if len(given) > ARGS_MAX:
        raise ValueError(f"{len(given)} arguments are given: at most {ARGS_MAX} are allowed")
    for name in given:
        if len(name) > NAME_CHARS_MAX or not name.isidentifier():
            raise ValueError(
                f"{quoted(name)} is not a name that a chat template can read: use at most "
                f"{NAME_CHARS_MAX} letters, digits and _"
            )
    return FrozenMapping(given)


TemplateArgs = Annotated[
    Mapping[str, Annotated[TemplateValue, BeforeValidator(_value)]],
    AfterValidator(_args),
    PlainSerializer(lambda given: dict(given)),  # since Python 3.12, pydantic cannot infer what `dict` takes
]
