"""Who an observer counts as a member."""

from __future__ import annotations

import pytest

from protocol import verify_status
from swarmd.daemon.company import GONE_S
from swarmd.gossip import PeerView
from swarmd.gossip.membership import LEFT
from swarmd.network.interface import Standing
from swarmd.observer.view import is_here
from tests.gossip.making import START, key, make_manifest, make_status

MANIFEST = make_manifest()
PEER = key(1)


@pytest.mark.parametrize(
    ("phase", "age_s", "connected", "here"),
    [
        ("training", 5.0, False, True),
        ("training", GONE_S, False, False),
        (LEFT, 5.0, False, False),
        (LEFT, 5.0, True, True),
    ],
)
def test_a_member_was_heard_lately_and_has_not_said_goodbye(
    phase: str, age_s: float, connected: bool, here: bool
) -> None:
    envelope = make_status(MANIFEST, PEER, START, phase=phase)
    status = verify_status(envelope, swarm=MANIFEST.swarm_id, now=START).status
    seen = PeerView(PEER.peer_id, status, age_s, 0, 0, Standing.MET, 1.0, {}, {}, on_trial=False)
    assert is_here(seen, {PEER.peer_id} if connected else set()) == here
