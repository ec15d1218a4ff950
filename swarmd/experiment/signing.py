"""Signed records of a round's groups, as a peer publishes them."""

from __future__ import annotations

from collections.abc import Sequence

from protocol import InvalidLocal, KeyPair, Manifest
from swarmd.gossip import StoreBlob
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.publishing import Publisher
from swarmd.groups import ScoredGroup
from swarmd.step.offering import to_offer
from swarmd.tasks import Question


def sign_groups(
    key: KeyPair,
    manifest: Manifest,
    questions: Sequence[Question],
    groups: Sequence[ScoredGroup],
    *,
    round_: int,
    temperature: float,
) -> tuple[bytes, ...]:
    """Records of the groups that teach; one for which the protocol has no room stays here."""
    # One a round: what it remembers to announce, and nobody takes from it here, goes with it.
    publisher = Publisher(key, manifest, GossipLimits(), dialable=True)
    publisher.start_round(round_)
    now = float(manifest.round_start(round_))
    envelopes: list[bytes] = []
    for question, group in zip(questions, groups, strict=True):
        try:
            offer = to_offer(group, question, temperature)
        except InvalidLocal:
            continue
        commands = publisher.publish(offer, 1, manifest.records_per_round_max, now)
        envelopes += [command.envelope for command in commands if isinstance(command, StoreBlob)]
    return tuple(envelopes)
