"""What to tell an operator about a peer that speaks another version of the protocol. Pure."""

from __future__ import annotations

from protocol import PROTOCOL_VERSIONS, PeerId, RejectedRecord, Versions
from swarmd.names import name_of


def refusal(peer: PeerId, answer: bytes, mine: tuple[int, int] = PROTOCOL_VERSIONS) -> str | None:
    """Why nothing can be exchanged with `peer`, which gave this answer; None if something can.

    `mine`: the oldest and newest version spoken here.
    """
    try:
        theirs = Versions.from_bytes(answer)
    except RejectedRecord:
        return None  # a hint that cannot be read says nothing
    if theirs.meets(*mine):
        return None
    who = f"{name_of(peer)} ({peer}), which runs {theirs.agent},"
    if theirs.oldest > mine[1]:
        return (
            f"{who} speaks version {theirs.oldest} of the protocol and newer, and this swarmd speaks "
            f"{mine[1]} and older: upgrade swarmd here (docs/install.md), or find peers of the old version"
        )
    return (
        f"{who} speaks version {theirs.newest} of the protocol and older, and this swarmd speaks {mine[0]} "
        "and newer: its operator has to upgrade it; nothing is exchanged with it until then"
    )
