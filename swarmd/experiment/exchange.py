"""How the groups of a round get from their publishers to all others.

Bytes only: signed envelopes go in, signed envelopes come out. Rounds are synchronous, as in the paper: a
round's groups are gathered when every node has generated, and nobody draws from another round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class RoundExchange(Protocol):
    """Brings the envelopes of all nodes together."""

    async def gather(self, round_: int, envelopes: Sequence[bytes]) -> list[bytes]:
        """`envelopes` are those of this process's nodes, in the nodes' order; returns everybody's, in it too.

        Waits for all processes. Every one of them gets the same list.
        """
        ...


class ProcessExchange:
    """All nodes are in this process, so everybody's envelopes are the ones given."""

    async def gather(self, round_: int, envelopes: Sequence[bytes]) -> list[bytes]:  # noqa: ARG002
        return list(envelopes)
