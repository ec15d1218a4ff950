"""Peers are named by id, by the end of it, or by their two words; a wrong name is told what is near."""

from __future__ import annotations

import pytest

from swarmd.cli.naming import find_peer
from swarmd.errors import ConfigError
from swarmd.names import name_of, named
from swarmd.storage import Database, Home
from tests.gossip.making import key

FIRST, SECOND, THIRD = (key(n).peer_id for n in range(1, 4))
KNOWN = (FIRST, SECOND)


def test_every_form_that_a_table_shows_names_the_peer() -> None:
    name = name_of(FIRST)
    for text in (FIRST, FIRST[-6:], f"…{FIRST[-6:]}", name, name.upper(), named(FIRST), f" {name} "):
        assert find_peer(text, KNOWN) == FIRST


def test_a_whole_id_needs_not_be_known() -> None:
    assert find_peer(THIRD, KNOWN) == THIRD


def test_a_name_that_is_nearly_right_is_told_which_are_near() -> None:
    with pytest.raises(ConfigError, match=f"did you mean {name_of(FIRST)}"):
        find_peer(name_of(FIRST)[:-1], KNOWN)


@pytest.mark.parametrize(
    "text", ["", "…", FIRST[-3:], name_of(THIRD), f"{name_of(SECOND)} …{FIRST[-6:]}", "*"]
)
def test_what_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a peer id, nor the name or the end of the id"):
        find_peer(text, KNOWN)


def test_an_end_that_fits_several_peers_is_refused_with_their_names() -> None:
    one, other = "12D3KooWaaaaXyzz", "12D3KooWbbbbXyzz"
    with pytest.raises(ConfigError, match="matches 2 peers") as raised:
        find_peer("Xyzz", (one, other))
    assert named(one) in str(raised.value)
    assert find_peer("aXyzz", (one, other)) == one


def test_without_a_daemon_the_database_knows_the_names(swarmd, tmp_path) -> None:
    home = Home.open(tmp_path)
    with Database(home.database_path) as database:
        database.partners.used({FIRST: 1}, now=1.0)
    outcome = swarmd("ban", name_of(FIRST), "--home", tmp_path)
    assert outcome.out == f"{FIRST}: {name_of(FIRST)} is banned from the next start\n"
    outcome = swarmd("trust", "nobody-here", "--home", tmp_path)
    assert outcome.code == 2
    assert "'nobody-here' is not a peer id" in outcome.err
