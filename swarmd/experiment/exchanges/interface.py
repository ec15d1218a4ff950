"""How the processes of one run gather their parts.

Only bytes are exchanged: verified groups and lines, as JSON. Rounds are synchronous, as in the paper: a
round's groups are gathered once every node has generated, and no node draws from another round.
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
        """Return all ranks' `parts`, rank by rank; every rank gets the same list. `what` names them in
        messages.

        Blocks until all ranks have called it. Raises SwarmdError if one does not.
        """
        ...


class ProcessExchange:
    """All nodes are in this process, so its parts are all there are."""

    rank = 0
    ranks = 1
    device = None

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:  # noqa: ARG002
        return list(parts)


def share_of(nodes: int, exchange: RoundExchange) -> range:
    """Return the indices of the nodes that this process runs; consecutive, so that gathering keeps their
    order.
    """
    rank, ranks = exchange.rank, exchange.ranks
    return range(rank * nodes // ranks, (rank + 1) * nodes // ranks)


def agreed(exchange: RoundExchange, what: str, value: T) -> T:
    """Return rank 0's `value`, a plain JSON value, on all ranks, so that what depends on a disk or a lock is
    decided once.
    """
    [word, *_] = exchange.gather(what, [json.dumps(value).encode()])
    decided: T = json.loads(word)
    return decided


def everybodys(exchange: RoundExchange, what: str, values: Sequence[T]) -> list[T]:
    """Return the `values`, plain JSON values, of all ranks, in the order of the ranks and hence of the
    nodes.
    """
    texts = exchange.gather(what, [json.dumps(value).encode() for value in values])
    return [json.loads(text) for text in texts]
