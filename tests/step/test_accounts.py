"""What publishers cost is charged to them, and a crowd of names erases nobody's account."""

from __future__ import annotations

from swarmd.step.accounts import FREE_S, HALF_LIFE_S, PUBLISHERS_MAX, SECONDS_MAX, Accounts
from tests.gossip.making import key


def peer(number: int) -> str:
    return key(number).peer_id


def test_a_publisher_whose_group_was_bad_is_proven_no_more() -> None:
    accounts = Accounts()
    accounts.charge_good(peer(1), 0.1, 0.0)
    accounts.charge_bad(peer(1), 0.1, 0.0)
    assert not accounts.is_proven(peer(1))


def test_seconds_add_up_to_a_limit_and_halve_with_time() -> None:
    accounts = Accounts()
    for _ in range(3):
        accounts.charge_bad(peer(1), SECONDS_MAX / 3, 0.0)
    assert accounts.is_overdrawn(peer(1), 0.0)
    assert not accounts.is_overdrawn(peer(1), HALF_LIFE_S)
    assert accounts.seconds(peer(1), 2 * HALF_LIFE_S) == SECONDS_MAX / 4
    assert not accounts.is_overdrawn(peer(2), 0.0)


def test_an_accepted_group_is_charged_only_what_no_honest_one_takes() -> None:
    accounts = Accounts()
    for _ in range(100):
        accounts.charge_good(peer(1), FREE_S, 0.0)
    assert accounts.seconds(peer(1), 0.0) == 0.0
    accounts.charge_good(peer(1), FREE_S + SECONDS_MAX, 0.0)
    assert accounts.is_overdrawn(peer(1), 0.0)


def test_a_crowd_of_names_makes_neither_the_good_nor_the_costly_forgotten() -> None:
    accounts = Accounts()
    accounts.charge_good("good", 0.1, 0.0)
    accounts.charge_bad("costly", SECONDS_MAX, 0.0)
    for number in range(PUBLISHERS_MAX + 100):
        accounts.charge_bad(f"name {number}", 0.01, 0.0)
    assert accounts.is_proven("good")
    assert accounts.is_overdrawn("costly", 0.0)
