"""Which relayed connections are dialled again so that a hole can be punched."""

from __future__ import annotations

from protocol import PeerId
from swarmd.network.reach.redials import (
    OBSERVERS_MIN,
    PAUSE_S,
    PEERS_MAX,
    REDIALS_OF_PEER_MAX,
    Redials,
)

RELAYED = "/ip4/5.45.1.10/tcp/41000/p2p/relay/p2p-circuit"
DIRECT = "/ip4/5.45.2.10/tcp/41000"
ONE = {PeerId("one"): RELAYED}


def due(redials: Redials, connections: dict[PeerId, str], now: float = 0.0) -> PeerId | None:
    return redials.due(connections, dialable=False, observers=OBSERVERS_MIN, now=now)


def test_relayed_peers_are_dialled_again_one_after_the_other_and_direct_ones_never() -> None:
    redials = Redials()
    connections = {PeerId("direct"): DIRECT, PeerId("one"): RELAYED, PeerId("other"): RELAYED}
    assert [due(redials, connections) for _ in range(3)] == ["one", "other", None]


def test_a_peer_that_stays_relayed_is_dialled_again_a_few_times_with_pauses() -> None:
    redials = Redials()
    assert due(redials, ONE, 0.0) == "one"
    assert due(redials, ONE, PAUSE_S - 1) is None
    later = [due(redials, ONE, PAUSE_S * number) for number in range(1, REDIALS_OF_PEER_MAX + 2)]
    assert later == ["one"] * (REDIALS_OF_PEER_MAX - 1) + [None, None]


def test_nobody_is_dialled_again_before_p2pd_can_know_its_outer_address() -> None:
    redials = Redials()
    assert redials.due(ONE, dialable=False, observers=OBSERVERS_MIN - 1, now=0.0) is None
    assert due(redials, ONE) == "one"


def test_a_peer_that_can_be_dialled_needs_no_hole() -> None:
    assert Redials().due(ONE, dialable=True, observers=OBSERVERS_MIN, now=0.0) is None


def test_what_is_remembered_is_bounded() -> None:
    redials = Redials()
    many = {PeerId(str(number)): RELAYED for number in range(PEERS_MAX + 1)}
    assert {due(redials, many) for _ in many} == set(many)
    assert due(redials, many) == "0"
