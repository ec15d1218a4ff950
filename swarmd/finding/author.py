"""Which author a home trusts about its swarm: only the one who signed its first charter."""

from __future__ import annotations

import shlex

from protocol import PeerId, VerifiedCharter
from swarmd.errors import ConfigError
from swarmd.finding.naming import Kind, kind_of
from swarmd.names import name_of
from swarmd.tasks import SwarmFile


def _told(author: PeerId) -> str:
    """Show an author to a person: the two-word name and the full id."""
    return f"{name_of(author)} ({author})"


def require_newer(
    mine: VerifiedCharter | None, found: SwarmFile, wanted: str, *, home: str
) -> VerifiedCharter:
    """Return the charter to move to. Raises ConfigError unless it is newer and by the same author."""
    if mine is None:
        raise ConfigError(
            f"{home} does not know the author of its swarm, so it cannot trust any new version: join once "
            "with the signed file of its present version (`swarmd join --swarm FILE`), or start with "
            "another --home"
        )
    if found.charter is None:
        raise ConfigError(f"{wanted} is not signed: get the signed file from {_told(mine.author)}")
    given = found.charter
    if given.author != mine.author or given.charter.name != mine.charter.name:
        raise ConfigError(
            f"{wanted} is the swarm {given.charter.name} by {_told(given.author)}, and {home} is in "
            f"{mine.charter.name} by {_told(mine.author)}: only that author can sign new versions of it"
        )
    if not given.replaces(mine):
        raise ConfigError(
            f"{wanted} is version {given.charter.version}, and {home} is already in version "
            f"{mine.charter.version}: nothing to do"
        )
    return given


def require_charter(
    saved: VerifiedCharter | None, found: SwarmFile, wanted: str, *, home: str
) -> VerifiedCharter | None:
    """Return the charter that a home keeps from now on: `saved`, or a newer one by the same author.

    `found` is what `wanted` names. Raises ConfigError for an unsigned file if there was a signed one before,
    for a different author, and for a different version, which needs the operator's consent.
    """
    given = found.charter
    if saved is None:
        return given
    mine = saved.charter
    if given is None:
        if kind_of(wanted) is not Kind.PRESET:
            raise ConfigError(
                f"{wanted} is not signed, and the swarm of {home} is, by {_told(saved.author)}: get the "
                "signed file from its author, omit --swarm to continue as before, or use another --home"
            )
        return saved
    if given.author != saved.author:
        raise ConfigError(
            f"{wanted} is signed by {_told(given.author)}, and the swarm of {home} by {_told(saved.author)}: "
            "get that author's file, omit --swarm to continue as before, or use another --home"
        )
    if given.charter.name != mine.name or given.charter.swarm == mine.swarm:
        return given if given.replaces(saved) else saved  # a different swarm is refused by its id
    if given.charter.version < mine.version:
        raise ConfigError(
            f"{wanted} is version {given.charter.version} of the swarm {mine.name}, and {home} is in version "
            f"{mine.version}: get the newest file, or omit --swarm"
        )
    if given.charter.version == mine.version:
        raise ConfigError(
            f"version {mine.version} of {mine.name} has different rules in {wanted} than in {home}: "
            "its author signed two files with the same version; the newer one needs a higher one"
        )
    raise ConfigError(
        f"{wanted} is version {given.charter.version} of the swarm {mine.name}, and {home} is in version "
        f"{mine.version}. Nothing was changed. `swarmd swarm accept {shlex.quote(wanted)} --home "
        f"{shlex.quote(home)}` moves the home to it and keeps weights and ledger"
    )
