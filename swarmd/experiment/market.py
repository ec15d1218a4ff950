"""The groups of one round that others may draw: verified, scored again, and without its own for each node.

Takes the place of a peer's pool. A round's groups are gone with the round. The processes of one experiment
trust each other: what came of a record is what the one that verified it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter

from protocol import Manifest, PeerId, VerifiedRecord, verify_record
from swarmd.groups import ScoredGroup
from swarmd.step.verification import Outcome as Verdict
from swarmd.step.verification import Verification


@dataclass(frozen=True)
class Refused:
    """A record that was refused: of an honest node, a scorer that failed."""

    publisher: str
    reason: str


Outcome = ScoredGroup | Refused

# In a list of one: bytes as base64 cannot be asked for of a dataclass by itself.
_OUTCOME = TypeAdapter(list[Outcome], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


@dataclass(frozen=True)
class Market:
    """What came of a round's envelopes."""

    groups: tuple[ScoredGroup, ...]
    rejected: tuple[Refused, ...]

    def seen_by(self, node: PeerId) -> Stall:
        """What is there for `node`."""
        return Stall(tuple(group for group in self.groups if group.publisher != node))

    def rejected_of(self, node: PeerId) -> int:
        """How many records of `node` were refused."""
        return sum(refused.publisher == node for refused in self.rejected)


@dataclass(frozen=True)
class Stall:
    """The others' groups, as `swarmd.step.drawing` asks for them."""

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
        """Everybody's: what attackers publish is right, and nothing that a record shows speaks against it."""
        return 1.0


async def verify(
    envelopes: Sequence[bytes], *, manifest: Manifest, verification: Verification, now: float
) -> list[bytes]:
    """Check every envelope as a receiver does: signature, bounds, question, and the scores again.

    Once, by the process that plays its publisher, rather than by each receiver: they share the code, the
    manifest and the sandbox, so each would find the same at N - 1 times the cost. Returns what came of each,
    as `open_market` reads it. Raises TaskError if the sandbox cannot run.
    """
    records: list[VerifiedRecord] = [
        verify_record(envelope, manifest=manifest, now=now) for envelope in envelopes
    ]
    return [
        _OUTCOME.dump_json([_outcome(record, found)])
        for record, found in zip(records, await verification.check(records), strict=True)
    ]


def _outcome(record: VerifiedRecord, found: Verdict) -> Outcome:
    return found if isinstance(found, ScoredGroup) else Refused(record.publisher, str(found.reason))


def open_market(outcomes: Sequence[bytes]) -> Market:
    """Of everybody's outcomes of `verify`, in the order of the nodes."""
    found = [outcome for part in outcomes for outcome in _OUTCOME.validate_json(part)]
    return Market(
        tuple(outcome for outcome in found if isinstance(outcome, ScoredGroup)),
        tuple(outcome for outcome in found if isinstance(outcome, Refused)),
    )
