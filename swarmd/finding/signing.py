"""Signs the text of a manifest file as its author."""

from __future__ import annotations

from collections.abc import Sequence

from protocol import (
    Charter,
    InvalidLocal,
    KeyPair,
    Manifest,
    PeerId,
    VerifiedCharter,
    sign_charter,
    verify_charter,
)
from swarmd.addresses import check_named_address
from swarmd.errors import ConfigError
from swarmd.tasks import load_swarm_file
from swarmd.tasks.manifest import read_swarm_file
from swarmd.tasks.signed import read_signature, with_signature, without_signature


def signed_before(place: str, text: str, author: PeerId) -> VerifiedCharter | None:
    """Return what `author` signed in an earlier version of the text, or None.

    The rules may have changed since. Raises ConfigError if the file is signed by someone else.
    """
    try:
        before = read_signature(place, text)
    except ValueError as error:
        raise ConfigError(
            f"{place} has an invalid [signed] table: {error}. To sign it as a new swarm, remove "
            "the table first"
        ) from error
    if before is not None and before.author != author:
        raise ConfigError(
            f"{place} is signed by {before.author}, but this key is {author}'s: members of that swarm "
            "would refuse the file. Sign with the author's key (--key FILE); to create your own swarm, "
            "copy the file, remove [signed], and give the swarm another name"
        )
    return before


def sign(
    place: str,
    text: str,
    author: KeyPair,
    *,
    version: int | None,
    bootstrap: Sequence[str] | None,
    urls: Sequence[str] | None,
    now: int,
    before: VerifiedCharter | None,
) -> str:
    """Return the text with its signature. `bootstrap`, `urls`: None keeps those of `before`.
    `version`: None is the next one after `before`.

    Raises ConfigError for a mistake in the text, an address or a URL, and for a version that is not higher.
    """
    last = None if before is None else before.charter
    number = (1 if last is None else last.version + 1) if version is None else version
    if last is not None and number <= last.version:
        raise ConfigError(
            f"{place} is already signed as version {last.version}, but --version is {number}: members "
            f"keep the higher version; omit --version for {last.version + 1}"
        )
    addresses = (() if last is None else last.bootstrap) if bootstrap is None else bootstrap
    locations = (() if last is None else last.urls) if urls is None else urls

    def envelope(manifest: Manifest) -> bytes:
        try:
            charter = Charter(
                name=manifest.name,
                version=number,
                swarm=manifest.swarm_id,
                created=now,
                bootstrap=tuple(map(check_named_address, addresses)),
                urls=tuple(locations),
            )
            return sign_charter(author, charter)
        except InvalidLocal as error:
            raise ConfigError(f"{place} cannot be signed: {error}") from error

    rules = without_signature(place, text)
    envelope(
        read_swarm_file(place, rules)[0].manifest
    )  # report a mistake before loading the tasks, which takes seconds
    found = load_swarm_file(place, rules)
    return with_signature(rules, verify_charter(envelope(found.manifest)), found.sources)
