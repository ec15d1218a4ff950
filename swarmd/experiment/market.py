"""The groups of one round that others may draw: verified, scored again, and without its own for each node.

Takes the place of a peer's pool. A round's groups are gone with the round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol import Manifest, PeerId, RejectedRecord, VerifiedRecord, verify_record
from swarmd.daemon.verification import Verification
from swarmd.learning import ScoredGroup


@dataclass(frozen=True)
class Market:
    """What came of a round's envelopes."""

    groups: tuple[ScoredGroup, ...]
    rejected: tuple[tuple[str, str], ...]
    """(publisher, reason) of what was refused; nodes are honest, so a scorer that failed."""

    def seen_by(self, node: PeerId) -> Stall:
        """What is there for `node`."""
        return Stall(tuple(group for group in self.groups if group.publisher != node))


@dataclass(frozen=True)
class Stall:
    """The others' groups, as `swarmd.daemon.drawing` asks for them."""

    groups: tuple[ScoredGroup, ...]

    def candidates(
        self,
        min_round: int,
        limit: int,  # noqa: ARG002
        *,
        informative_only: bool = False,
    ) -> Sequence[ScoredGroup]:
        """In their publishers' order. All of them: a round holds nodes x I groups, and a cut would always
        leave out the same nodes."""
        return [g for g in self.groups if g.round >= min_round and (g.is_informative or not informative_only)]

    def trust(self, peer: PeerId) -> float:  # noqa: ARG002
        """Nodes of an experiment are honest."""
        return 1.0


async def open_market(
    envelopes: Sequence[bytes], *, manifest: Manifest, verification: Verification, now: float
) -> Market:
    """Check every envelope as a receiver does: signature, bounds, question, and the scores again.

    Once for each publisher and process rather than once for each receiver: the receivers share the code, the
    manifest and the sandbox, so each would find the same at N - 1 times the cost. Raises TaskError if the
    sandbox cannot run.
    """
    rejected: list[tuple[str, str]] = []
    records: list[VerifiedRecord] = [
        verify_record(envelope, manifest=manifest, now=now) for envelope in envelopes
    ]
    groups: list[ScoredGroup] = []
    for record, outcome in zip(records, await verification.check(records), strict=True):
        if isinstance(outcome, RejectedRecord):
            rejected.append((record.publisher, outcome.reason.value))
        else:
            groups.append(outcome)
    return Market(tuple(groups), tuple(rejected))
