"""How a peer says that it is reached, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import KeyPair
from swarmd.daemon.reaching import reach_view
from swarmd.names import named
from swarmd.network.interface import Reach, Reachability, Way

RELAY = KeyPair.from_seed(bytes(32)).peer_id


def view(state: Reach, *, announces: bool = False, **changes: Any) -> Any:
    fields: dict[str, Any] = {"port": 41_000, "alone": False, "on_this_machine": False}
    return reach_view(Reachability(state, **fields | changes), {Way.DIRECT: 3}, announces=announces)


@pytest.mark.parametrize(
    ("state", "changes", "words"),
    [
        (Reach.DIRECT, {"opened": 3, "closed": 1}, "direct: TCP port 41000 opens to 3 of 4 networks"),
        (Reach.PUNCHED, {"closed": 4}, "hole punching works"),
        (Reach.RELAYED, {"relays": (RELAY,)}, f"through {named(RELAY)}"),
        (
            Reach.INLINE,
            {"closed": 2},
            "opens to 0 of 2 networks that tried, and no relay has a place for this peer",
        ),
        (Reach.UNKNOWN, {"alone": True}, "no peer to ask yet"),
        (Reach.UNKNOWN, {"on_this_machine": True}, "all other peers are on this machine"),
        (Reach.UNKNOWN, {"opened": 1}, "1 network tried TCP port 41000, and two must agree"),
    ],
)
def test_the_state_is_said_in_a_sentence(state: Reach, changes: dict[str, Any], words: str) -> None:
    assert words in view(state, **changes).says


def test_the_remedy_names_the_port_and_the_address_that_others_see() -> None:
    relayed = view(Reach.RELAYED, seen_at="8.8.4.4").remedy
    assert "forward TCP port 41000" in relayed
    assert "--port 41000;" in relayed
    assert relayed.endswith("--announce /ip4/8.8.4.4/tcp/ROUTER_PORT")
    assert "--announce /ip6/2001:db8::1/tcp/ROUTER_PORT" in view(Reach.RELAYED, seen_at="2001:db8::1").remedy
    assert "a peer that others can dial and that relays" in view(Reach.INLINE).remedy
    assert "the router forwards TCP port 41000" in view(Reach.RELAYED, announces=True).remedy


@pytest.mark.parametrize("state", [Reach.DIRECT, Reach.UNKNOWN])
def test_where_nothing_is_known_to_be_wrong_nothing_is_to_be_done(state: Reach) -> None:
    assert view(state).remedy == ""


def test_every_way_is_counted_also_those_that_no_group_came() -> None:
    assert view(Reach.DIRECT).ways == {"direct": 3, "relay": 0, "inline": 0}
