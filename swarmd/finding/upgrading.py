"""The message for an operator about a peer that uses an incompatible protocol version. Pure."""

from __future__ import annotations

from protocol import PROTOCOL_VERSIONS, PeerId, RejectedRecord, Versions
from swarmd.names import name_of


def refusal(peer: PeerId, answer: bytes, mine: tuple[int, int] = PROTOCOL_VERSIONS) -> str | None:
    """Return why nothing can be exchanged with `peer`, given its answer; None if something can.

    `mine`: the oldest and newest version that this side supports.
    """
    try:
        theirs = Versions.from_bytes(answer)
    except RejectedRecord:
        return None  # an unreadable answer proves nothing
    if theirs.meets(*mine):
        return None
    who = f"{name_of(peer)} ({peer}), which runs {theirs.agent},"
    if theirs.oldest > mine[1]:
        return (
            f"{who} supports protocol version {theirs.oldest} and newer, but this swarmd supports only "
            f"{mine[1]} and older: upgrade swarmd here (docs/install.md), or find peers of the old version"
        )
    return (
        f"{who} supports protocol version {theirs.newest} and older, but this swarmd supports only {mine[0]} "
        "and newer: its operator must upgrade it; nothing is exchanged with it until then"
    )
