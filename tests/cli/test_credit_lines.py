"""What `swarmd status` and `swarmd play` say about other peers' claims, also if none of them learned."""

from __future__ import annotations

import pytest

from swarmd.cli.credit_lines import given_lines
from swarmd.cli.played import answer_lines
from swarmd.names import name_of
from swarmd.observe.credit import Credit, CreditedPeer

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def claim(gain: float, *, people: bool = False) -> CreditedPeer:
    return CreditedPeer(peer_id=PEER, name=name_of(PEER), people=people, groups=65, gain=gain)


@pytest.mark.parametrize(
    ("parties", "said"),
    [
        (0, "nobody says that its groups taught them"),
        (1, "1 peer says that its groups taught them"),
        (2, "2 peers say that its groups taught them"),
    ],
)
def test_a_figure_over_nobody_is_said_in_words(parties: int, said: str) -> None:
    [line] = given_lines(Credit(claimed=(claim(0.0),), taught_claimed=parties))
    assert line.startswith(f"{said} (nats per answer): ")
    assert line.endswith("+0.000 over 65")


def test_peoples_answers_that_taught_nobody_are_said_so_too() -> None:
    [line] = given_lines(Credit(claimed=(claim(-0.1, people=True),)))
    assert line.startswith("nobody says that its people's answers taught them")


def test_answers_that_nobody_pulled_or_learned_from_are_not_counted_as_zero_peers() -> None:
    answer = {
        "at": 0.0,
        "task": "gcd",
        "gist": "gcd",
        "right": 1,
        "attempts": 2,
        "state": "published",
        "pulled_by": 0,
    }
    found = {"answers": [answer], "taught_claimed": 0, "claimed": [claim(0.0).model_dump()]}
    lines = answer_lines(found, now=60.0)
    assert "published, pulled by nobody yet" in lines[1]
    assert "your answers taught nobody, as they say" in lines
