"""What a node's answers say, after everything unsound was removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hivemind.p2p import PeerID

from swarmd.network.shelf import Held


@dataclass(frozen=True)
class Answer:
    """What a node knows about one key."""

    entries: Mapping[bytes, Held]
    plain: Held | None
    neighbours: tuple[PeerID, ...]
    """Peers that the node reports as nearer to the key. They may not exist."""


@dataclass(frozen=True)
class Stored:
    """What became of values that a node was asked to hold."""

    held: Sequence[bool]
    """Whether it holds each of them now."""
    neighbours: Mapping[bytes, tuple[PeerID, ...]]
    """The peers that it reports near each key, by DHT id: empty if not asked, or an older node."""
