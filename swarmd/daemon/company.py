"""The other peers in the status snapshot: which are present, which are gone, and what each gave the
others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from protocol import PeerStatus
from protocol.limits import MILLI
from swarmd.gossip import GossipStatistics
from swarmd.gossip import PeerView as SeenPeer
from swarmd.gossip.membership import LEFT
from swarmd.names import name_of
from swarmd.network.interface import NetworkStatistics
from swarmd.observe import HeardPeer, Hearing, HelpedPeer, Helping, IgnoredPeer, Judgement, PeerView
from swarmd.storage import PublisherCounts
from swarmd.storage.partners import Partner

GONE_S = 180.0
"""Seconds without a sign of life after which a peer counts as gone: a status lives 120 s, and is kept for 60
more.
"""

GONE_SHOWN = 256
"""How many peers seen in the past are listed, most recently seen first."""

LISTED = 256
"""How many peers `helping` and `hearing` name, those with the most groups first."""


def credible(partners: Mapping[str, Partner], published: int) -> dict[str, Partner]:
    """Return the partners whose claim is possible: none trained on more groups than this peer published."""
    return {peer_id: replace(one, claimed=min(one.claimed, published)) for peer_id, one in partners.items()}


def company(
    seen: Sequence[SeenPeer],
    partners: Mapping[str, Partner],
    by_publisher: Mapping[str, PublisherCounts],
    connected: Collection[str],
    *,
    now: float,
) -> tuple[PeerView, ...]:
    """Return all other peers: those present, in the order of `seen`, then those that are gone, newest
    first.
    """
    listed = [_view(peer, partners, by_publisher, connected, now) for peer in seen]
    names = {peer.peer_id for peer in seen}
    earlier = [
        _of_earlier(partner, by_publisher.get(partner.peer_id), connected, now)
        for partner in list(partners.values())[: GONE_SHOWN + len(names)]
        if partner.peer_id not in names
    ]
    everyone = [*listed, *earlier[:GONE_SHOWN]]
    gone = sorted((peer for peer in everyone if peer.gone), key=lambda peer: -(peer.last_seen or 0.0))
    return (*(peer for peer in everyone if not peer.gone), *gone)


def helping(published: int, partners: Mapping[str, Partner], now: float, left: Collection[str]) -> Helping:
    """Return what this peer gave to other peers. `left`: those that said goodbye."""
    took = [one for one in partners.values() if one.pulls or one.claimed]
    took.sort(key=lambda one: (-one.claimed, -one.pulls, one.peer_id))
    return Helping(
        groups_published=published,
        pulls=sum(one.pulls for one in took),
        pulled_by=sum(one.pulls > 0 for one in took),
        groups_trained_on_claimed=sum(one.claimed for one in took),
        trained_on_by_claimed=sum(one.claimed > 0 for one in took),
        peers=tuple(
            HelpedPeer(
                peer_id=one.peer_id,
                name=name_of(one.peer_id),
                pulls=one.pulls,
                groups_trained_on_claimed=one.claimed,
                last_seen=one.last_seen,
                gone=_is_gone(one.last_seen, now) or one.peer_id in left,
            )
            for one in took[:LISTED]
        ),
    )


def hearing(partners: Mapping[str, Partner], now: float, left: Collection[str]) -> Hearing:
    """Return what this peer took from other peers. `left`: those that said goodbye."""
    gave = [one for one in partners.values() if one.used]
    gave.sort(key=lambda one: (-one.used, one.peer_id))
    return Hearing(
        groups_used=sum(one.used for one in gave),
        taught_by=len(gave),
        peers=tuple(
            HeardPeer(
                peer_id=one.peer_id,
                name=name_of(one.peer_id),
                groups_used=one.used,
                last_seen=one.last_seen,
                gone=_is_gone(one.last_seen, now) or one.peer_id in left,
            )
            for one in gave[:LISTED]
        ),
    )


def _is_gone(last_seen: float | None, now: float) -> bool:
    return last_seen is None or now - last_seen > GONE_S


def has_left(seen: SeenPeer, connected: Collection[str]) -> bool:
    """Whether its last status was a goodbye. A connected peer is present, whatever it says."""
    return seen.status is not None and seen.status.phase == LEFT and seen.peer_id not in connected


def _view(
    seen: SeenPeer,
    partners: Mapping[str, Partner],
    by_publisher: Mapping[str, PublisherCounts],
    connected: Collection[str],
    now: float,
) -> PeerView:
    counts, partner = by_publisher.get(seen.peer_id), partners.get(seen.peer_id)
    signs = [
        *([now] if seen.peer_id in connected else []),
        *([] if seen.age_s is None else [now - seen.age_s]),
        *([] if partner is None else [partner.last_seen]),
    ]
    last_seen = max(signs, default=None)
    view = PeerView(
        peer_id=seen.peer_id,
        name=name_of(seen.peer_id),
        age_s=seen.age_s,
        last_seen=last_seen,
        gone=_is_gone(last_seen, now) or has_left(seen, connected),
        connected=seen.peer_id in connected,
        standing=seen.standing.name.lower(),
        on_trial=seen.on_trial,
        trust=seen.trust,
        groups_taught=seen.groups_taught,
        points_lost=dict(seen.points_lost),
        groups_pulled=counts.groups_pulled if counts else 0,
        groups_used=partner.used if partner else 0,
        pulls=partner.pulls if partner else 0,
        groups_trained_on_claimed=partner.claimed if partner else 0,
        used_claimed={str(publisher): groups for publisher, groups in seen.used.items()},
    )
    return as_stated(view, seen.status)


def as_stated(view: PeerView, status: PeerStatus | None) -> PeerView:
    """Return `view` with the values of the peer's status; `view` itself if there is no status."""
    if status is None:
        return view
    return view.model_copy(
        update={
            "address": status.addresses[0] if status.addresses else None,
            "step": status.step,
            "model": status.model,
            "device": status.device,
            "reward_mean": status.reward_mean_milli / MILLI,
            "held_out_claimed": None if status.eval_milli is None else status.eval_milli / MILLI,
        }
    )


def _of_earlier(
    partner: Partner, counts: PublisherCounts | None, connected: Collection[str], now: float
) -> PeerView:
    last_seen = now if partner.peer_id in connected else partner.last_seen
    return PeerView(
        peer_id=partner.peer_id,
        name=name_of(partner.peer_id),
        last_seen=last_seen,
        gone=_is_gone(last_seen, now),
        connected=partner.peer_id in connected,
        groups_pulled=counts.groups_pulled if counts else 0,
        groups_used=partner.used,
        pulls=partner.pulls,
        groups_trained_on_claimed=partner.claimed,
    )


def judgement(gossip: GossipStatistics, network: NetworkStatistics) -> Judgement:
    """Return which peers are trusted or banned, and what peers did."""
    return Judgement(
        ignored=tuple(
            IgnoredPeer(peer_id=found.peer_id, reason=found.reason, seconds_left=found.seconds_left)
            for found in gossip.ignored
        ),
        trusted=gossip.trusted,
        points_lost=dict(gossip.points_lost),
        misbehaved=dict(gossip.misbehaved),
        refused=dict(network.refused),
        junk=dict(gossip.junk),
    )
