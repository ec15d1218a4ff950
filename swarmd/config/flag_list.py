"""The flags of `swarmd join` and similar commands as text: enough for --help and for completion.

They are declared at the fields of `slices.py` and `learning.py`. Reading them there loads pydantic, which
takes longer than everything else --help does, so `flags.json` holds a copy. After changing a setting, run
`python -m swarmd.config.flag_list` to regenerate it; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

if TYPE_CHECKING:
    from swarmd.config.base import Flag
    from swarmd.config.settings import Setting

FILE = Path(__file__).with_name("flags.json")

Kind = Literal["int", "float", "path", "text", "switch"]
"""What the text is converted to; a switch has no text."""


@dataclass(frozen=True)
class FlagText:
    """One setting that can be given on the command line."""

    key: str
    """Full name, such as "learning.local"."""
    flag: str
    """Such as "--local". If two settings share a flag, the first one's help is shown."""
    help: str
    default: str | None
    metavar: str | None
    kind: Kind
    is_repeated: bool
    """Whether the flag can be given more than once."""
    choices: tuple[str, ...]

    @property
    def section(self) -> str:
        """The section that contains the setting, such as "learning"; empty at the top."""
        return self.key.rpartition(".")[0]


def read() -> tuple[FlagText, ...]:
    """Return the contents of the file."""
    listed = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(FlagText(**{**each, "choices": tuple(each["choices"])}) for each in listed)


def derive() -> tuple[FlagText, ...]:
    """Return what the settings themselves say."""
    from swarmd.config.settings import SETTINGS

    return tuple(_text(each, each.flag) for each in SETTINGS.values() if each.flag is not None)


def _text(setting: Setting, flag: Flag) -> FlagText:
    field = setting.field
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    is_repeated = isinstance(field.default, tuple | Mapping)
    return FlagText(
        key=setting.key,
        flag=flag.name,
        help=field.description or "",
        default=None if is_repeated or field.default is None or field.default is True else str(field.default),
        metavar=flag.metavar or "|".join(choices) or None,
        kind=_kind(field.annotation),
        is_repeated=is_repeated,
        choices=choices,
    )


def _kind(annotation: object) -> Kind:
    """Return what the text is converted to. Choices stay text: the setting itself rejects a wrong one."""
    kinds: dict[object, Kind] = {int: "int", float: "float", Path: "path", bool: "switch"}
    candidates = (annotation, *get_args(annotation))
    return next((kinds[each] for each in candidates if each in kinds), "text")


if __name__ == "__main__":
    text = json.dumps([asdict(each) for each in derive()], indent=1, ensure_ascii=False)
    FILE.write_text(f"{text}\n", encoding="utf-8")
