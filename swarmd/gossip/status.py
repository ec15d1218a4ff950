"""Signs this peer's own status in all versions, and verifies other peers' statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from protocol import (
    ADDRESSES_MAX,
    CREDITS_MAX,
    STATUS_BYTES_MAX,
    STATUS_DOMAIN,
    STATUS_PAYLOAD_TYPE,
    USED_MAX,
    CreditStatus,
    FullStatus,
    KeyPair,
    Manifest,
    PeerId,
    PeerStatus,
    Reason,
    RejectedRecord,
    Used,
    VerifiedStatus,
    open_envelope,
    sign_credit_status,
    sign_full_status,
    sign_status,
    verify_status,
)
from protocol.limits import ADDRESS_BYTES_MAX, LABEL_BYTES_MAX, MODEL_BYTES_MAX, PHASE_BYTES_MAX
from swarmd.gossip.clock import ClockWatch
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.own_status import OwnStatus
from swarmd.gossip.publishing import fit


def sign_own_status(
    key: KeyPair, manifest: Manifest, limits: GossipLimits, own: OwnStatus, now: float
) -> tuple[bytes, bytes, bytes]:
    """Return three envelopes of `own` as of `now`: the status for the DHT, the full status, and the one with
    credits.

    Long texts are truncated. Raises InvalidLocal for numbers out of bounds.
    """
    status = _status(key, manifest, limits, own, now)
    most = sorted(own.used.items(), key=lambda use: (-use[1], use[0]))[:USED_MAX]
    used = tuple(Used(publisher=publisher, groups=groups) for publisher, groups in most)
    full = FullStatus(**dict(status), used=used)
    with_credits = CreditStatus(**dict(full), credits=tuple(own.credits[:CREDITS_MAX]))
    return sign_status(key, status), sign_full_status(key, full), sign_credit_status(key, with_credits)


def _status(key: KeyPair, manifest: Manifest, limits: GossipLimits, own: OwnStatus, now: float) -> PeerStatus:
    created = int(now)
    addresses = [
        a for a in own.addresses if a.endswith(f"/p2p/{key.peer_id}") and len(a) <= ADDRESS_BYTES_MAX
    ]
    return PeerStatus(
        swarm=manifest.swarm_id,
        created=created,
        expires=created + int(limits.status_lifetime_s),
        addresses=tuple(addresses[:ADDRESSES_MAX]),
        round=max(0, manifest.round_at(created)),
        step=own.step,
        phase=fit(own.phase, PHASE_BYTES_MAX),
        model=fit(own.model, MODEL_BYTES_MAX),
        device=fit(own.device, LABEL_BYTES_MAX),
        reward_mean_milli=own.reward_mean_milli,
        groups_own=own.groups_own,
        groups_published=own.groups_published,
        groups_pulled=own.groups_pulled,
        groups_external_used=own.groups_external_used,
        agent=fit(own.agent, LABEL_BYTES_MAX),
        eval_milli=own.eval_milli,
    )


class StatusIntake:
    """Verifies statuses, and reports to the clock watch when contacts wrote theirs, even refused ones."""

    def __init__(self, swarm: bytes, clock: ClockWatch, is_contact: Callable[[PeerId, float], bool]) -> None:
        self._swarm = swarm
        self._clock = clock
        self._is_contact = is_contact
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Counts of refused envelopes, by reason."""
        return dict(self._junk)

    def read(self, envelopes: Sequence[bytes], now: float) -> list[VerifiedStatus]:
        verified: list[VerifiedStatus] = []
        for envelope in envelopes:
            try:
                verified.append(verify_status(envelope, swarm=self._swarm, now=now))
            except RejectedRecord as error:
                self._junk[error.reason.value] += 1
                if error.reason in (Reason.CLOCK, Reason.EXPIRED):
                    self._observe_untimely(envelope, now)
            else:
                self._observe(verified[-1].publisher, verified[-1].status.created, now)
        return verified

    def _observe_untimely(self, envelope: bytes, now: float) -> None:
        """Take the time of a valid status that was refused only because its clock or ours is wrong."""
        opened = open_envelope(envelope, STATUS_DOMAIN, STATUS_PAYLOAD_TYPE, STATUS_BYTES_MAX)
        self._observe(opened.peer_id, PeerStatus.from_bytes(opened.payload).created, now)

    def _observe(self, peer: PeerId, created: int, now: float) -> None:
        """Count only contacts' clocks, because identities are free."""
        if self._is_contact(peer, now):
            self._clock.observe(peer, created, now)
