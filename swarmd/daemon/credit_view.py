"""Who taught whom, from this peer's measurements and from other peers' claims: for its status, and for
theirs.

A claim counts only if its author is known to have pulled a record from here, and all peers of one party count
as one. Peer ids without a connection therefore count for nothing, and many ids behind one connection count
once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import fmean

from protocol import Credit as SignedCredit
from protocol import PeerId
from protocol.limits import MILLI
from swarmd.names import name_of
from swarmd.observe.credit import Credit, CreditedPeer
from swarmd.storage.credits import CreditRow
from swarmd.storage.partners import Partner

LISTED = 256
"""The most peers in each list."""

TAUGHT_FROM = 0.001
"""Nats. The smallest gain that is published: a party with a lower mean says that it did not learn."""


def credit_view(
    rows: Sequence[CreditRow],
    partners: Mapping[str, Partner],
    party_of: Callable[[PeerId], Hashable],
    time_share: float | None,
) -> Credit:
    """Return the credit in both directions. `party_of` gives the party that a peer's claim counts for."""
    claims = [row for row in rows if row.claimed_groups and _pulled(partners.get(row.peer_id))]
    return Credit(
        measured=tuple(
            _credited(row, row.groups, row.gain) for row in [row for row in rows if row.groups][:LISTED]
        ),
        claimed=tuple(_credited(row, row.claimed_groups, row.claimed_gain) for row in claims[:LISTED]),
        taught_claimed=_parties([row for row in claims if not row.people], party_of),
        people_taught_claimed=_parties([row for row in claims if row.people], party_of),
        time_share=time_share,
    )


def signed_credits(rows: Sequence[CreditRow]) -> tuple[SignedCredit, ...]:
    """Return what other peers are told: what each did for this peer."""
    return tuple(
        SignedCredit(
            publisher=row.peer_id, people=row.people, groups=row.groups, gain_milli=round(MILLI * row.gain)
        )
        for row in rows
        if row.groups
    )


def _pulled(partner: Partner | None) -> bool:
    return partner is not None and partner.pulls > 0


def _parties(claims: Sequence[CreditRow], party_of: Callable[[PeerId], Hashable]) -> int:
    """Count the parties whose peers, on average, say that they learned."""
    voices: defaultdict[Hashable, list[float]] = defaultdict(list)
    for row in claims:
        voices[party_of(PeerId(row.peer_id))].append(row.claimed_gain)
    return sum(fmean(gains) >= TAUGHT_FROM for gains in voices.values())


def _credited(row: CreditRow, groups: int, gain: float) -> CreditedPeer:
    return CreditedPeer(
        peer_id=row.peer_id, name=name_of(row.peer_id), people=row.people, groups=groups, gain=gain
    )
