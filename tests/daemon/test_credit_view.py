"""Who taught whom: claims count only of peers that pulled, and a party has one voice."""

from __future__ import annotations

from swarmd.daemon.credit_view import credit_view, signed_credits
from swarmd.observe.credit import Credit
from swarmd.storage.credits import CreditRow
from swarmd.storage.partners import Partner
from tests.gossip.making import key

FIRST, SECOND, THIRD = (key(n).peer_id for n in range(1, 4))


def row(peer: str, *, claimed: float, people: bool = False, groups: int = 0, gain: float = 0.0) -> CreditRow:
    return CreditRow(peer, people, groups, gain, claimed_groups=4, claimed_gain=claimed)


def view(
    *rows: CreditRow, pulled: tuple[str, ...] = (FIRST, SECOND, THIRD), one_party: bool = False
) -> Credit:
    partners = {peer: Partner(peer, used=0, pulls=1, claimed=0, last_seen=0.0) for peer in pulled}
    return credit_view(rows, partners, lambda peer: "one" if one_party else peer, 0.01)


def test_each_party_that_says_it_learned_is_counted_once() -> None:
    rows = [row(FIRST, claimed=0.2), row(SECOND, claimed=0.1), row(THIRD, claimed=-0.1)]
    assert view(*rows).taught_claimed == 2
    assert view(*rows, one_party=True).taught_claimed == 1


def test_many_names_behind_one_connection_cannot_outvote_what_they_say_in_the_mean() -> None:
    assert view(row(FIRST, claimed=0.1), row(SECOND, claimed=-0.3), one_party=True).taught_claimed == 0


def test_the_claim_of_a_peer_that_never_pulled_is_not_shown_or_counted() -> None:
    found = view(row(FIRST, claimed=0.2), row(SECOND, claimed=0.2), pulled=(FIRST,))
    assert (found.taught_claimed, [peer.peer_id for peer in found.claimed]) == (1, [FIRST])


def test_people_and_policies_are_counted_apart() -> None:
    found = view(row(FIRST, claimed=0.2), row(FIRST, claimed=0.3, people=True), row(SECOND, claimed=0.1))
    assert (found.taught_claimed, found.people_taught_claimed) == (2, 1)


def test_what_was_measured_here_is_known_whatever_others_say_and_is_what_others_are_told() -> None:
    mine = row(FIRST, claimed=0.2, groups=3, gain=-0.0121)
    found = view(mine, row(SECOND, claimed=0.9), pulled=())
    assert [(peer.peer_id, peer.groups, peer.gain) for peer in found.measured] == [(FIRST, 3, -0.0121)]
    [signed] = signed_credits([mine, row(SECOND, claimed=0.9)])
    assert (signed.publisher, signed.people, signed.groups, signed.gain_milli) == (FIRST, False, 3, -12)
