"""Whether others can dial this peer, by what others say."""

from __future__ import annotations

import pytest

from swarmd.network.interface import Reach
from swarmd.network.reach.verdict import ANSWER_S, VOICES_MAX, Voices, reach_of

SEEN = "/ip4/8.8.4.4/tcp/41000"


def heard(*answers: tuple[str, bool], now: float = 0.0, seen_at: str = SEEN) -> Voices:
    voices = Voices()
    for host, opened in answers:
        voices.heard(f"/ip4/{host}/tcp/1", opened=opened, seen_at=seen_at, now=now)
    return voices


@pytest.mark.parametrize(
    ("answers", "opens"),
    [
        ([], None),
        ([("8.8.8.8", True)], None),
        ([("8.8.8.8", False)], None),
        ([("8.8.8.8", True), ("9.9.9.9", True)], True),
        ([("8.8.8.8", False), ("9.9.9.9", False)], False),
        ([("8.8.8.8", True), ("9.9.9.9", False)], None),
        ([("8.8.8.8", True), ("9.9.9.9", True), ("1.1.1.1", False)], True),
        ([("10.0.0.1", True), ("10.0.0.2", True)], True),
    ],
)
def test_most_networks_decide_and_one_alone_never_does(
    answers: list[tuple[str, bool]], opens: bool | None
) -> None:
    assert heard(*answers).opens(0.0) is opens


def test_a_network_has_one_voice_however_many_peers_it_has() -> None:
    liars = [(f"6.6.6.{number}", False) for number in range(200)]
    voices = heard(*liars, ("8.8.8.8", True), ("9.9.9.9", True))
    assert voices.counts(0.0) == (2, 1)
    assert voices.opens(0.0) is True


def test_answers_of_old_count_no_more_and_the_newest_are_kept() -> None:
    voices = heard(("8.8.8.8", True), ("9.9.9.9", True))
    assert voices.opens(ANSWER_S - 1) is True
    assert voices.opens(ANSWER_S) is None
    many = heard(*((f"8.{number}.0.1", True) for number in range(VOICES_MAX + 10)))
    assert many.counts(0.0) == (VOICES_MAX, 0)


def test_the_address_that_others_see_is_believed_if_two_networks_see_it() -> None:
    assert heard(("8.8.8.8", True)).seen_at(0.0) == ""
    assert heard(("8.8.8.8", True), ("9.9.9.9", False)).seen_at(0.0) == "8.8.4.4"
    assert heard(("8.8.8.8", True), ("9.9.9.9", True), seen_at="no address").seen_at(0.0) == ""


@pytest.mark.parametrize(
    "lie",
    [
        "/ip4/x.example/tcp/1",
        "/ip4/0.0.0.0/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/224.0.0.1/tcp/1",
        "/ip6/fe80::1%;reboot/tcp/1",
        "/ip4",
    ],
)
def test_what_is_no_address_to_dial_is_never_announced_whoever_says_it(lie: str) -> None:
    assert heard(("8.8.8.8", True), ("9.9.9.9", True), ("1.1.1.1", True), seen_at=lie).seen_at(0.0) == ""


def test_two_networks_among_five_have_no_address_of_a_third_party_announced() -> None:
    voices = heard(("8.8.8.8", True), ("9.9.9.9", True))
    for number in range(3):  # this peer is behind a router with three addresses
        seen = f"/ip4/4.4.4.{number}/tcp/1"
        voices.heard(f"/ip4/7.7.{number}.1/tcp/1", opened=True, seen_at=seen, now=0.0)
    assert voices.seen_at(0.0) == ""


def test_an_address_of_the_other_family_is_no_disagreement() -> None:
    voices = heard(("8.8.8.8", True), ("9.9.9.9", True))
    for number in (1, 2):
        seen = "/ip6/2001:4860::1/tcp/1"
        voices.heard(f"/ip6/2001:{number}::1/tcp/1", opened=True, seen_at=seen, now=0.0)
    assert voices.seen_at(0.0) == "8.8.4.4"


@pytest.mark.parametrize(
    ("opens", "relays", "punched", "state"),
    [
        (True, 0, False, Reach.DIRECT),
        (True, 2, True, Reach.DIRECT),
        (False, 2, True, Reach.PUNCHED),
        (False, 2, False, Reach.RELAYED),
        (None, 1, False, Reach.RELAYED),
        (False, 0, False, Reach.INLINE),
        (None, 0, False, Reach.UNKNOWN),
        (None, 0, True, Reach.UNKNOWN),
    ],
)
def test_the_state_in_one_word(opens: bool | None, relays: int, punched: bool, state: Reach) -> None:
    assert reach_of(opens, relays=relays, punched=punched) is state
