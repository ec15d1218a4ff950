"""What groups did for the peers that trained on them, as lines for `swarmd status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from swarmd.names import named

if TYPE_CHECKING:
    from swarmd.observe.credit import Credit, CreditedPeer

NAMED = 3  # peers per line


def given_lines(credit: Credit) -> Iterator[str]:
    """Yield what this peer's groups did for other peers, as those claim."""
    for people, parties, what in (
        (False, credit.taught_claimed, "its groups"),
        (True, credit.people_taught_claimed, "its people's answers"),
    ):
        of_these = [peer for peer in credit.claimed if peer.people is people]
        if of_these:
            says = {0: "nobody says", 1: "1 peer says"}.get(parties, f"{parties} peers say")
            yield f"{says} that {what} taught them (nats per answer): {_listed(of_these)}"


def taken_lines(credit: Credit) -> Iterator[str]:
    """Yield what external groups did for this peer, as measured here."""
    if credit.measured:
        yield f"measured, nats per held-out right answer: {_listed(credit.measured)}"


def _listed(peers: Sequence[CreditedPeer]) -> str:
    shown = [
        f"{named(peer.peer_id)}{' (people)' if peer.people else ''} {peer.gain:+.3f} over {peer.groups}"
        for peer in peers[:NAMED]
    ]
    more = len(peers) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
