from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmd import names
from swarmd.names import name_of, named

PEER = "12D3KooWLmJ8Vq8xN1Q2R6XbHaAqmTgYB6VmjBT4eFZbjkM33Kk"


def test_a_peer_has_the_same_name_in_every_version() -> None:
    assert name_of(PEER) == "great-bat"
    assert name_of("") == "tame-sturgeon"


def test_every_byte_chooses_a_word_of_its_own() -> None:
    assert len(set(names._FIRST)) == len(set(names._SECOND)) == 256
    assert not set(names._FIRST) & set(names._SECOND)


@given(st.text())
def test_any_text_has_a_name_of_two_plain_words(text: str) -> None:
    first, second = name_of(text).split("-")
    assert all(word.isascii() and word.isalpha() for word in (first, second))


def test_peers_that_share_a_name_are_told_apart_by_the_end_of_the_id() -> None:
    assert named(PEER) == f"{name_of(PEER)} …kM33Kk"
