"""What keeps a peer from doing its work, and what to do about it: one sentence for each cause.

Pure: everything is passed in as numbers. `docs/operating.md` lists these sentences. Each consists of what is
wrong and, after `; `, a remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from swarmd.network.interface import NetworkStatistics

HEARS_NOBODY_S = 30.0
"""Seconds without any answer. In a small swarm a silent peer is greeted every 10 s."""

NOT_ASKED_S = 150.0
"""Seconds without any request from other peers. Every peer stores its status with others every 40 s."""

NO_CONTACT = "no contact with other peers"
NOT_REACHED = "other peers do not reach this one"
NO_ADDRESS = "no peer can reach this one yet: it has no address"

FROZEN_S = 60.0
"""Longest time that one request to the task worker may take. A step's questions or scores take less than 1 s.
"""


def outages(
    network: NetworkStatistics, left: Collection[str], *, started_at: float, now: float
) -> Iterator[str]:
    """Yield what is wrong between this peer and the others. All times are monotonic, in seconds.

    `left`: peers whose last status was a goodbye, perhaps before this peer was restarted. A peer that is
    alone because all others left is well.
    """
    if not network.known_peers:
        return
    alone_until = max(started_at, network.known_since or started_at)
    silent_s = now - (network.answered_at or alone_until)
    if silent_s >= HEARS_NOBODY_S:
        if network.unheard and network.unheard.issubset(left):
            return
        since = "" if network.answered_at else " so far"
        yield (
            f"{NO_CONTACT}{since}: none of {network.known_peers} known peers has answered for "
            f"{silent_s:.0f} s; {_way_on(network.dialable)}"
        )
        return
    unasked_s = now - (network.asked_at or alone_until)
    if unasked_s >= NOT_ASKED_S and network.connected_peers:
        yield (
            f"{NOT_REACHED}: {network.connected_peers} answer it, but none has sent it a request for "
            f"{unasked_s:.0f} s; open its TCP port in the firewall or router and --announce it, and check in "
            "the log of another peer whether that peer ignores this one"
        )


def concerns_reach(reason: str) -> bool:
    """Whether a reason of `health` says that this peer and the others cannot reach each other."""
    return reason.startswith((NO_CONTACT, NOT_REACHED, NO_ADDRESS))


def frozen(waiting_s: float, worker: str) -> Iterator[str]:
    """`worker`: whose questions and scores it handles."""
    if waiting_s >= FROZEN_S:
        yield (
            f"the task worker for {worker} has not answered for {waiting_s:.0f} s: frozen, or starved of "
            "CPU; it is replaced automatically. If this happens again, the machine is overloaded"
        )


def _way_on(dialable: bool) -> str:
    if dialable:
        return (
            "check this machine's network and firewall (swarmd needs TCP alone; a network that lets nothing "
            "out but port 443 needs a peer that listens there, with --port 443); their addresses are tried "
            "every 2 s, and if those peers have left for good, name another with --peer"
        )
    return (
        "this peer is behind a NAT, and the others may be too: peers behind NATs need one that all of them "
        "can dial. Start one on a machine with a public address (or a forwarded port and --announce), with "
        "--port 443 if a network lets nothing else out, and name it with --peer on both sides"
    )
