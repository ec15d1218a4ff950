"""Peers of another protocol version: each side is told once which of them has to be upgraded."""

from __future__ import annotations

from protocol import PROTOCOL_VERSIONS, Versions
from swarmd.finding.upgrading import refusal
from tests.finding.making import PEER


def answer(oldest: int, newest: int) -> bytes:
    return Versions(oldest=oldest, newest=newest, agent="swarmd/9.0").to_bytes()


def test_a_peer_with_a_common_version_is_not_refused():
    assert refusal(PEER.peer_id, answer(*PROTOCOL_VERSIONS)) is None
    assert refusal(PEER.peer_id, answer(1, 5), mine=(5, 7)) is None
    assert refusal(PEER.peer_id, answer(7, 9), mine=(5, 7)) is None


def test_a_newer_peer_means_that_this_one_has_to_be_upgraded():
    why = refusal(PEER.peer_id, answer(2, 3), mine=(1, 1))
    assert why is not None
    assert PEER.peer_id in why
    assert "supports protocol version 2 and newer, but this swarmd supports only 1" in why
    assert "upgrade swarmd here" in why


def test_an_older_peer_has_to_be_upgraded_by_its_operator():
    why = refusal(PEER.peer_id, answer(1, 1), mine=(2, 3))
    assert why is not None
    assert "its operator must upgrade it" in why
    assert "swarmd/9.0" in why


def test_an_answer_that_cannot_be_read_says_nothing():
    for junk in (b"", b"\xff" * 256, Versions(oldest=1, newest=1, agent="x").to_bytes() + b"\0"):
        assert refusal(PEER.peer_id, junk) is None
