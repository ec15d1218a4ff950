"""A round's groups between nodes: signed, verified, scored again, and offered to the others.

Replaces a peer's publishing, network and pool. A round's groups disappear with the round. The processes of
one experiment trust each other: the outcome of a record is what the process that verified it reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter

from protocol import InvalidLocal, KeyPair, Manifest, PeerId, VerifiedRecord, verify_record
from swarmd.gossip import StoreBlob
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.publishing import Publisher
from swarmd.groups import ScoredGroup
from swarmd.judges import Panel
from swarmd.step.offering import to_offer
from swarmd.step.verification import Outcome as Verdict
from swarmd.step.verification import Verification
from swarmd.tasks import Question


def sign_groups(
    key: KeyPair,
    manifest: Manifest,
    questions: Sequence[Question],
    groups: Sequence[ScoredGroup],
    *,
    round_: int,
    temperature: float,
    even_all_right: bool = False,
) -> tuple[bytes, ...]:
    """Return signed records of the groups that teach, as a peer publishes them.

    A group that is too large for the protocol is left out.
    """
    # A new one each round: it remembers what to announce, which is not needed here.
    publisher = Publisher(key, manifest, GossipLimits(), dialable=True)
    publisher.start_round(round_)
    now = float(manifest.round_start(round_))
    envelopes: list[bytes] = []
    for question, group in zip(questions, groups, strict=True):
        try:
            offer = to_offer(group, question, temperature, even_all_right=even_all_right)
        except InvalidLocal:
            continue
        commands = publisher.publish(offer, 1, manifest.records_per_round_max, now)
        envelopes += [command.envelope for command in commands if isinstance(command, StoreBlob)]
    return tuple(envelopes)


@dataclass(frozen=True)
class Accepted:
    """A verified group, and the digest of its question, under which its answers are votes."""

    group: ScoredGroup
    asked: bytes


@dataclass(frozen=True)
class Refused:
    """A record that was refused. If its node is honest, the scorer failed."""

    publisher: str
    reason: str


Outcome = Accepted | Refused

# In a list of one: pydantic cannot encode a bare dataclass's bytes as base64.
_OUTCOME = TypeAdapter(list[Outcome], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


@dataclass(frozen=True)
class RoundGroups:
    """The outcome of a round's envelopes."""

    accepted: tuple[Accepted, ...]
    rejected: tuple[Refused, ...]

    def for_node(self, node: PeerId) -> OthersGroups:
        """Return what `node` can draw: all groups but its own."""
        return OthersGroups(tuple(each for each in self.accepted if each.group.publisher != node))

    def pulled_by(self, node: PeerId, wanted: int) -> int:
        """Return how many records a peer in the position of `node` would pull and verify to draw `wanted`
        groups: those on offer, up to a peer's allowance.
        """
        publishers = [each.group.publisher for each in self.accepted]
        publishers += [each.publisher for each in self.rejected]
        offered = sum(publisher != node for publisher in publishers)
        return min(offered, math.ceil(GossipLimits().overpull * wanted))

    def rejected_of(self, node: PeerId) -> int:
        """Return how many records of `node` were refused."""
        return sum(refused.publisher == node for refused in self.rejected)


@dataclass(frozen=True)
class OthersGroups:
    """The groups that a node can draw, with the interface that `swarmd.step.drawing` expects."""

    accepted: tuple[Accepted, ...]

    @property
    def groups(self) -> tuple[ScoredGroup, ...]:
        """All of them, in the order of their publishers."""
        return tuple(each.group for each in self.accepted)

    def candidates(
        self,
        min_round: int,
        limit: int,  # noqa: ARG002
        *,
        informative_only: bool = False,
    ) -> Sequence[ScoredGroup]:
        """Return all of them, in the order of their publishers. A round holds nodes x I groups, and a limit
        would always leave out the same nodes.
        """
        return [g for g in self.groups if g.round >= min_round and (g.can_teach or not informative_only)]

    def vote(self, panel: Panel) -> None:
        """Count each group as the vote of its publisher, who is a party of its own."""
        for each in self.accepted:
            texts = [completion.text for completion in each.group.completions]
            panel.hear(each.asked, each.group.publisher, texts)

    def trust(self, peer: PeerId) -> float:  # noqa: ARG002
        """Trust every peer fully: attackers publish right answers, and nothing in a record gives them
        away.
        """
        return 1.0


async def verify(
    envelopes: Sequence[bytes], *, manifest: Manifest, verification: Verification, now: float
) -> list[bytes]:
    """Check every envelope as a receiver does: signature, bounds, question, and the scores again.

    Each is checked once, by the process that runs its publisher, instead of by each receiver. Receivers share
    the code, the manifest and the sandbox, so they would get the same result at N - 1 times the cost. Each
    node is charged what its own verifying would have cost (`RoundGroups.pulled_by`). Returns the outcomes, as
    `round_groups` reads them. Raises TaskError if the sandbox cannot run.
    """
    records: list[VerifiedRecord] = [
        verify_record(envelope, manifest=manifest, now=now) for envelope in envelopes
    ]
    return [
        _OUTCOME.dump_json([_outcome(record, found)])
        for record, found in zip(records, await verification.check(records), strict=True)
    ]


def _outcome(record: VerifiedRecord, found: Verdict) -> Outcome:
    if isinstance(found, ScoredGroup):
        return Accepted(found, record.record.question_digest)
    return Refused(record.publisher, str(found.reason))


def round_groups(outcomes: Sequence[bytes]) -> RoundGroups:
    """Build them from all processes' outcomes of `verify`, in the order of the nodes."""
    found = [outcome for part in outcomes for outcome in _OUTCOME.validate_json(part)]
    return RoundGroups(
        tuple(outcome for outcome in found if isinstance(outcome, Accepted)),
        tuple(outcome for outcome in found if isinstance(outcome, Refused)),
    )
