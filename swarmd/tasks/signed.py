"""The `[signed]` table at the end of a manifest file: an author's charter, in words that people can read.

The table repeats every field of the charter, and its signature. So whoever edits the table breaks the
signature, and whoever edits the rules has another swarm id than the one that was signed. Comments and layout
of the rest may change: they are no part of the swarm.
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

_HEADER = re.compile(r"^\[signed\][^\n]*\n", re.MULTILINE)
_NEXT_TABLE = re.compile(r"^\[", re.MULTILINE)


def _hexadecimal(text: str) -> str:
    bytes.fromhex(text)
    return text


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a zone, such as 2026-01-01T00:00:00Z")
    return value


_Hexadecimal = Annotated[str, AfterValidator(_hexadecimal)]


class SignedTable(BaseModel):
    """The table as TOML gives it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    author: str
    version: int
    created: Annotated[datetime, AfterValidator(_with_zone)]
    bootstrap: list[str]
    urls: list[str]
    swarm: _Hexadecimal
    sources: dict[str, str]
    """The versions of the task sources, so that a reader with others learns why his swarm is another one."""
    signature: _Hexadecimal


def charter_of(table: SignedTable, name: str) -> VerifiedCharter:
    """What the author signed. `name`: the manifest's. Raises ValueError: what is wrong and what to do."""
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
            f"{table.author[:64]} did not sign what stands here ({error}): the name or this table was "
            "changed afterwards. Get the file from its author again; its author signs it anew with `swarmd "
            "swarm sign`"
        ) from error


def read_signature(text: str) -> VerifiedCharter | None:
    """What was signed in the text of a file, whatever became of its rules; None if it has no such table.

    Raises ValueError.
    """
    parsed = tomllib.loads(text)
    if "signed" not in parsed:
        return None
    return charter_of(SignedTable.model_validate(parsed["signed"]), str(parsed.get("name")))


def require_signed_rules(table: SignedTable, swarm_id: bytes, versions: Mapping[str, str]) -> None:
    """`versions`: of the sources installed here. Raises ValueError if other rules were signed."""
    if bytes.fromhex(table.swarm) == swarm_id:
        return
    other = {
        source: signed for source, signed in table.sources.items() if versions.get(source, signed) != signed
    }
    if other:
        told = ", ".join(f"{source[:64]} {signed[:64]}" for source, signed in other.items())
        here = ", ".join(f"{source} {versions[source]}" for source in other)
        raise ValueError(
            f"it was signed for {told}, and {here} is installed here: install the version that was signed for"
        )
    raise ValueError(
        "the rules above were changed after they were signed: get the file from its author again; its author "
        "signs it anew with `swarmd swarm sign`"
    )


def with_signature(text: str, signed: VerifiedCharter, versions: Mapping[str, str]) -> str:
    """The text of a manifest file with this charter at its end, instead of an earlier one."""
    charter = signed.charter
    created = datetime.fromtimestamp(charter.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sources = ", ".join(f"{json.dumps(name)} = {json.dumps(each)}" for name, each in versions.items())
    lines = [
        "[signed]  # `swarmd swarm sign` writes this table: a change of it breaks the signature",
        f'author = "{signed.author}"',
        f"version = {charter.version}",
        f"created = {created}",
        f"bootstrap = {_texts(charter.bootstrap)}",
        f"urls = {_texts(charter.urls)}",
        f'swarm = "{charter.swarm.hex()}"',
        f"sources = {{ {sources} }}",
        f'signature = "{signed.signature.hex()}"',
    ]
    return f"{without_signature(text).rstrip()}\n\n" + "\n".join(lines) + "\n"


def without_signature(text: str) -> str:
    """The text without its `[signed]` table."""
    header = _HEADER.search(text)
    if header is None:
        return text
    after = _NEXT_TABLE.search(text, header.end())
    return text[: header.start()] + ("" if after is None else text[after.start() :])


def _texts(values: tuple[str, ...]) -> str:
    return json.dumps(list(values))
