"""Which relayed connections are dialled again so that a hole can be punched."""

from __future__ import annotations

from protocol import PeerId
from swarmd.network.reach.redials import OBSERVERS_MIN, REDIALS_MAX, Redials

RELAYED = "/ip4/5.45.1.10/tcp/41000/p2p/relay/p2p-circuit"
DIRECT = "/ip4/5.45.2.10/tcp/41000"


def test_each_relayed_peer_is_dialled_again_once_and_direct_ones_never() -> None:
    redials = Redials()
    connections = {PeerId("direct"): DIRECT, PeerId("one"): RELAYED, PeerId("other"): RELAYED}
    due = [redials.due(connections, dialable=False, observers=OBSERVERS_MIN) for _ in range(3)]
    assert due == ["one", "other", None]


def test_nobody_is_dialled_again_before_p2pd_can_know_its_outer_address() -> None:
    redials = Redials()
    connections = {PeerId("one"): RELAYED}
    assert redials.due(connections, dialable=False, observers=OBSERVERS_MIN - 1) is None
    assert redials.due(connections, dialable=False, observers=OBSERVERS_MIN) == "one"


def test_a_peer_that_can_be_dialled_needs_no_hole() -> None:
    assert Redials().due({PeerId("one"): RELAYED}, dialable=True, observers=OBSERVERS_MIN) is None


def test_what_is_remembered_is_bounded() -> None:
    redials = Redials()
    many = {PeerId(str(number)): RELAYED for number in range(REDIALS_MAX + 1)}
    for _ in many:
        assert redials.due(many, dialable=False, observers=OBSERVERS_MIN) is not None
    assert redials.due(many, dialable=False, observers=OBSERVERS_MIN) == "0"
