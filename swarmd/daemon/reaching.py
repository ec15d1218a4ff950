"""How other peers reach this one, in words: one sentence, and what to do if it could be better. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from swarmd.names import named
from swarmd.network.interface import Reach, Reachability, Way
from swarmd.observe import ReachView

RELAYS_NAMED = 3
"""As many as a peer holds places at (`network/reach/reservations.py`)."""


def reach_view(reach: Reachability, ways: Mapping[Way, int], *, announces: bool) -> ReachView:
    """`announces`: whether the operator set the addresses to announce."""
    return ReachView(
        state=reach.state.value,
        says=_says(reach),
        remedy=_remedy(reach, announces),
        port=reach.port,
        seen_at=reach.seen_at,
        opened=reach.opened,
        closed=reach.closed,
        relays=tuple(reach.relays),
        ways={way.value: ways.get(way, 0) for way in Way},
        places=reach.places,
        circuits=reach.circuits,
        relayed_bytes=reach.relayed_bytes,
        relay_refused=reach.relay_refused,
    )


def _says(reach: Reachability) -> str:
    asked = reach.opened + reach.closed
    match reach.state:
        case Reach.DIRECT:
            return f"direct: TCP port {reach.port} opens to {reach.opened} of {asked} networks that tried"
        case Reach.PUNCHED:
            return "behind a NAT, and hole punching works: other peers reach this one without a relay"
        case Reach.RELAYED:
            relays = ", ".join(map(named, reach.relays[:RELAYS_NAMED]))
            return f"relayed: other peers reach this one through {relays}"
        case Reach.INLINE:
            return (
                f"inline only: TCP port {reach.port} opens to {reach.opened} of {asked} networks that tried, "
                "and no relay has a place for this peer; other peers find its groups in the DHT"
            )
    if reach.alone:
        return "not known: there is no peer to ask yet"
    if reach.on_this_machine:
        return "not known: all other peers are on this machine and reach it locally"
    return f"not known: {asked} {_networks(asked)} tried TCP port {reach.port}, and two must agree"


def _networks(count: int) -> str:
    return "network" if count == 1 else "networks"


def _remedy(reach: Reachability, announces: bool) -> str:
    if reach.state in (Reach.DIRECT, Reach.UNKNOWN):
        return ""
    at = reach.seen_at or "ADDRESS"
    family = "ip6" if ":" in at else "ip4"
    if announces:
        return f"check the firewall, and that the router forwards TCP port {reach.port} to this machine"
    open_it = (
        f"to be reached directly, forward TCP port {reach.port} to this machine in the router (open it in "
        f"the firewall), and start with --port {reach.port}; if the router's outer port differs, add "
        f"--announce /{family}/{at}/tcp/ROUTER_PORT"
    )
    if reach.state is Reach.INLINE:
        return f"{open_it}; or join through a peer that others can dial and that relays"
    return open_it
