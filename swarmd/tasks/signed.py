"""The `[signed]` table at the end of a manifest file: an author's charter, in readable form.

The table repeats every field of the charter, plus its signature. So editing the table breaks the signature,
and editing the rules changes the swarm id, which then differs from the signed one. Comments and layout of the
rest may change, because they are not part of the swarm.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from protocol import (
    Charter,
    PeerId,
    ProtocolError,
    VerifiedCharter,
    join_charter,
    verify_charter,
)
from swarmd.errors import ConfigError
from swarmd.toml_files import parse_toml

_HEADER = re.compile(r"^[ \t]*\[[ \t]*signed[ \t]*\][^\n]*", re.MULTILINE)
_NEXT_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def _hexadecimal(text: str) -> str:
    bytes.fromhex(text)
    return text


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as 2026-01-01T00:00:00Z")
    return value


_Hexadecimal = Annotated[str, AfterValidator(_hexadecimal)]
ZonedTime = Annotated[datetime, AfterValidator(_with_zone)]
"""A TOML date and time that has a time zone."""


class SignedTable(BaseModel):
    """The table as parsed from TOML."""

    model_config = ConfigDict(extra="forbid", strict=True)
    author: str
    version: int
    created: ZonedTime
    bootstrap: list[str]
    urls: list[str]
    swarm: _Hexadecimal
    sources: dict[str, str]
    """The versions of the task sources, so that a reader with other versions learns why the swarm id
    differs."""
    signature: _Hexadecimal


def charter_of(table: SignedTable, name: str) -> VerifiedCharter:
    """The author's verified charter. `name` is the manifest's. Raises ValueError: what is wrong and what to
    do."""
    try:
        charter = Charter(
            name=name,
            version=table.version,
            swarm=bytes.fromhex(table.swarm),
            created=int(table.created.timestamp()),
            bootstrap=tuple(table.bootstrap),
            urls=tuple(table.urls),
        )
        return verify_charter(join_charter(PeerId(table.author), charter, bytes.fromhex(table.signature)))
    except ProtocolError as error:
        raise ValueError(
            f"{table.author[:64]} did not sign this content ({error}): the name or this table was changed "
            "after signing. Get the file from its author again; the author can sign it again with `swarmd "
            "swarm sign`"
        ) from error


def read_signature(place: str, text: str) -> VerifiedCharter | None:
    """The charter signed in a file's text, even if its rules have changed; None if it has no such table.

    Raises ConfigError for a text that is not TOML, and ValueError for a bad table.
    """
    parsed = parse_toml(place, text)
    if "signed" not in parsed:
        return None
    return charter_of(SignedTable.model_validate(parsed["signed"]), str(parsed.get("name")))


def require_signed_rules(table: SignedTable, swarm_id: bytes, versions: Mapping[str, str]) -> None:
    """Raise ValueError unless these rules were signed. `versions` are those of the sources installed here."""
    if bytes.fromhex(table.swarm) == swarm_id:
        return
    other = {
        source: signed for source, signed in table.sources.items() if versions.get(source, signed) != signed
    }
    if other:
        told = ", ".join(f"{source[:64]} {signed[:64]}" for source, signed in other.items())
        here = ", ".join(f"{source} {versions[source]}" for source in other)
        raise ValueError(
            f"it was signed for {told}, but {here} is installed here: install the version it was signed for"
        )
    raise ValueError(
        "the rules above were changed after signing: get the file from its author again; the author can sign "
        "it again with `swarmd swarm sign`"
    )


def with_signature(rules: str, signed: VerifiedCharter, versions: Mapping[str, str]) -> str:
    """The text of a manifest file: `rules`, which has no signature, with this charter at its end."""
    charter = signed.charter
    created = datetime.fromtimestamp(charter.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sources = ", ".join(f"{json.dumps(name)} = {json.dumps(each)}" for name, each in versions.items())
    lines = [
        "[signed]  # `swarmd swarm sign` wrote this table: editing it breaks the signature",
        f'author = "{signed.author}"',
        f"version = {charter.version}",
        f"created = {created}",
        f"bootstrap = {_texts(charter.bootstrap)}",
        f"urls = {_texts(charter.urls)}",
        f'swarm = "{charter.swarm.hex()}"',
        f"sources = {{ {sources} }}",
        f'signature = "{signed.signature.hex()}"',
    ]
    return f"{rules.rstrip()}\n\n" + "\n".join(lines) + "\n"


def without_signature(place: str, text: str) -> str:
    """The text found at `place` without its `[signed]` table.

    Raises ConfigError for a text that is not TOML, or in which the table cannot be told from the rest.
    """
    rules = text
    if (header := _HEADER.search(text)) is not None:
        after = _NEXT_TABLE.search(text, header.end())
        rules = text[: header.start()] + ("" if after is None else text[after.start() :])
    meant = {key: value for key, value in parse_toml(place, text).items() if key != "signed"}
    try:
        is_meant = tomllib.loads(rules) == meant
    except ValueError:
        is_meant = False
    if not is_meant:
        raise ConfigError(
            f"{place}: the table of the signature cannot be told from the rest: remove it by hand, and leave "
            "no other line that begins with [signed]"
        )
    return rules


def _texts(values: tuple[str, ...]) -> str:
    return json.dumps(list(values))
