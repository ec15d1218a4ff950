"""Arguments that an operator passes to a chat template. A template ignores names that it does not read, so a
misspelt name would silently change nothing. Such names are refused."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment, TemplateError, meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from swarmd.errors import ConfigError

TemplateArguments = Mapping[str, bool | int | float | str]

TOLD_MAX = 16  # names listed in a message; most templates read one or two
GIVEN = frozenset(
    {
        *("messages", "add_generation_prompt", "tools", "documents", "continue_final_message"),
        *("raise_exception", "strftime_now"),
        *("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"),
        *("additional_special_tokens", "extra_special_tokens"),
    }
)
"""Names that transformers passes to every template."""


class _Generation(Extension):
    """The tag added by transformers: a model's text is between `generation` and `endgeneration`."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the enclosed statements unchanged."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def require_read(template: str, owner: str, arguments: TemplateArguments) -> None:
    """Raise ConfigError for an argument that `template`, the chat template of `owner`, does not read.

    A template that cannot be parsed passes: its errors show when it is used.
    """
    read = names_read(template) if arguments else None
    unread = [] if read is None else sorted(arguments.keys() - read)
    if read is None or not unread:
        return
    can = sorted(read)
    what = f"it reads {', '.join(can[:TOLD_MAX])}" if can else "it reads none"
    raise ConfigError(
        f"the chat template of {owner} does not read the template argument {unread[0]}: {what}; correct "
        "--template-arg, or remove it"
    )


def names_read(template: str) -> frozenset[str] | None:
    """The names that `template` reads and that are not defined elsewhere; None if it cannot be parsed."""
    environment = Environment(extensions=["jinja2.ext.loopcontrols", _Generation])  # noqa: S701  never rendered
    try:
        found = meta.find_undeclared_variables(environment.parse(template))
    except (TemplateError, RecursionError):
        return None
    return frozenset(found) - GIVEN - environment.globals.keys()
