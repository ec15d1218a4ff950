"""Whose word a home believes about its swarm: that of the author of its first charter, and nobody else's."""

from __future__ import annotations

import shlex

from protocol import PeerId, VerifiedCharter
from swarmd.errors import ConfigError
from swarmd.finding.naming import Kind, kind_of
from swarmd.names import name_of
from swarmd.tasks import SwarmFile


def _told(author: PeerId) -> str:
    """An author as a person sees it: two words, and the whole id."""
    return f"{name_of(author)} ({author})"


def require_newer(
    mine: VerifiedCharter | None, found: SwarmFile, wanted: str, *, home: str
) -> VerifiedCharter:
    """The charter of the version to move to. Raises ConfigError unless it is the author's, and newer."""
    if mine is None:
        raise ConfigError(
            f"{home} knows no author of its swarm, so it can believe nobody about a new version: join once "
            "with the signed file of the version that it is in (`swarmd join --swarm FILE`), or begin "
            "another --home"
        )
    if found.charter is None:
        raise ConfigError(f"{wanted} is not signed: get the signed file from {_told(mine.author)}")
    given = found.charter
    if given.author != mine.author or given.charter.name != mine.charter.name:
        raise ConfigError(
            f"{wanted} is the swarm {given.charter.name} by {_told(given.author)}, and {home} is in "
            f"{mine.charter.name} by {_told(mine.author)}: only that author makes new versions of it"
        )
    if not given.replaces(mine):
        raise ConfigError(
            f"{wanted} is version {given.charter.version}, and {home} is in version {mine.charter.version} "
            "already: there is nothing to do"
        )
    return given


def require_charter(
    saved: VerifiedCharter | None, found: SwarmFile, wanted: str, *, home: str
) -> VerifiedCharter | None:
    """The charter that a home keeps from now on: `saved`, or the newer one of the same author.

    `found` is what `wanted` names. Raises ConfigError for an unsigned file where a signed one was before, for
    another author's, and for another version, which needs the operator's consent.
    """
    given = found.charter
    if saved is None:
        return given
    mine = saved.charter
    if given is None:
        if kind_of(wanted) is not Kind.PRESET:
            raise ConfigError(
                f"{wanted} is not signed, and the swarm of {home} is, by {_told(saved.author)}: get the "
                "signed file from its author, leave --swarm out to go on as before, or use another --home"
            )
        return saved
    if given.author != saved.author:
        raise ConfigError(
            f"{wanted} is signed by {_told(given.author)}, and the swarm of {home} by {_told(saved.author)}: "
            "get the file of that author, leave --swarm out to go on as before, or use another --home"
        )
    if given.charter.name != mine.name or given.charter.swarm == mine.swarm:
        return given if given.replaces(saved) else saved  # another swarm is refused by its id
    if given.charter.version < mine.version:
        raise ConfigError(
            f"{wanted} is version {given.charter.version} of the swarm {mine.name}, and {home} is in version "
            f"{mine.version}: get the newest file, or leave --swarm out"
        )
    if given.charter.version == mine.version:
        raise ConfigError(
            f"{wanted} says that version {mine.version} of {mine.name} has other rules than {home} knows: "
            "its author signed two files with one number; the newer one needs a higher version"
        )
    raise ConfigError(
        f"{wanted} is version {given.charter.version} of the swarm {mine.name}, and {home} is in version "
        f"{mine.version}. Nothing was changed. `swarmd swarm accept {shlex.quote(wanted)} --home "
        f"{shlex.quote(home)}` moves there and keeps weights and ledger"
    )
