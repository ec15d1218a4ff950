"""What pydantic finds wrong with a value, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import ErrorDetails

SHOWN_CHARACTERS = 100  # of a wrong value: enough to recognise it

_PLAIN: Mapping[str, str] = {
    "int_parsing": "input should be a whole number",
    "int_parsing_size": "input should be a whole number of at most 4300 digits",
    "int_from_float": "input should be a whole number",
    "int_type": "input should be a whole number",
    "float_parsing": "input should be a number",
    "float_type": "input should be a number",
    "bool_parsing": "input should be true or false",
}


def explained(detail: ErrorDetails) -> str:
    """Return what is wrong, without where: "input should be a whole number (got 'four')".

    Messages of our own validators are used unchanged: they quote only what may be quoted.
    """
    if detail["type"] == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    message = _PLAIN.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:])
    if not isinstance(detail["input"], str | int | float | bool | list | tuple):
        return message
    try:
        shown = repr(detail["input"])
    except ValueError:  # an integer written in hexadecimal, with more digits than Python prints
        return message
    cut = "…" if len(shown) > SHOWN_CHARACTERS else ""
    return f"{message} (got {shown[:SHOWN_CHARACTERS]}{cut})"
