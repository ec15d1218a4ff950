"""How the processes that play one run together gather their parts.

Bytes only: verified groups and lines go in and come out as JSON. Rounds are synchronous, as in the paper: a
round's groups are gathered when every node has generated, and nobody draws from another round.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class RoundExchange(Protocol):
    """The processes of one run. This one is `rank` of `ranks`, and each has a share of the nodes."""

    @property
    def rank(self) -> int: ...
    @property
    def ranks(self) -> int: ...
    @property
    def device(self) -> str | None:
        """Where its nodes compute; None if policy.device decides."""
        ...

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:
        """Everybody's `parts`, rank by rank; every rank gets the same list. `what` tells people what they
        are.

        Blocks until all ranks have come. Raises SwarmdError if one does not come.
        """
        ...


class ProcessExchange:
    """All nodes are in this process, so its parts are everybody's."""

    rank = 0
    ranks = 1
    device = None

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:  # noqa: ARG002
        return list(parts)


def share_of(nodes: int, exchange: RoundExchange) -> range:
    """The indices of the nodes that this process plays; consecutive, so that gathering keeps their order."""
    rank, ranks = exchange.rank, exchange.ranks
    return range(rank * nodes // ranks, (rank + 1) * nodes // ranks)


def agreed(exchange: RoundExchange, what: str, value: T) -> T:
    """Rank 0's `value`, a plain JSON value, on all ranks: what depends on a disk or a lock is decided
    once."""
    [word, *_] = exchange.gather(what, [json.dumps(value).encode()])
    decided: T = json.loads(word)
    return decided


def everybodys(exchange: RoundExchange, what: str, values: Sequence[T]) -> list[T]:
    """The `values`, plain JSON values, of all ranks, in the order of the ranks and so of the nodes."""
    texts = exchange.gather(what, [json.dumps(value).encode() for value in values])
    return [json.loads(text) for text in texts]
