"""How the processes that play one run together bring their parts into one place.

Bytes only: verified groups and lines, as JSON, go in and come out. Rounds are synchronous, as in the paper: a
round's groups are gathered when every node has generated, and nobody draws from another round.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class RoundExchange(Protocol):
    """The processes of one run: this one is number `rank` of `ranks`, and each has a share of the nodes."""

    @property
    def rank(self) -> int: ...
    @property
    def ranks(self) -> int: ...
    @property
    def device(self) -> str | None:
        """Where its nodes compute; None: where policy.device says."""
        ...

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:
        """Everybody's `parts`, rank by rank; every rank gets the same list. `what` they are is for people.

        Blocks until all ranks came. Raises SwarmdError if one does not come.
        """
        ...


class ProcessExchange:
    """All nodes are in this process, so everybody's parts are the ones given."""

    rank = 0
    ranks = 1
    device = None

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:  # noqa: ARG002
        return list(parts)


def share_of(nodes: int, exchange: RoundExchange) -> range:
    """The numbers of the nodes that this process plays: neighbours, so that gathering keeps their order."""
    rank, ranks = exchange.rank, exchange.ranks
    return range(rank * nodes // ranks, (rank + 1) * nodes // ranks)


def agreed(exchange: RoundExchange, what: str, value: T) -> T:
    """Rank 0's `value`, a plain JSON one, on all ranks: what depends on a disk or a lock is decided once."""
    [word, *_] = exchange.gather(what, [json.dumps(value).encode()])
    decided: T = json.loads(word)
    return decided


def everybodys(exchange: RoundExchange, what: str, values: Sequence[T]) -> list[T]:
    """The `values`, plain JSON ones, of all ranks in the order of the ranks, so also of their nodes."""
    texts = exchange.gather(what, [json.dumps(value).encode() for value in values])
    return [json.loads(text) for text in texts]
