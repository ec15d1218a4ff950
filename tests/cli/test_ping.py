"""swarmd ping: the daemon greets the peer, and says how long it took or why there is no answer."""

from __future__ import annotations

from swarmd.errors import NetworkError
from swarmd.names import name_of, named
from swarmd.observe import PeerView
from swarmd.storage import Home
from tests.cli.test_status import SNAPSHOT, daemon_in
from tests.gossip.making import key

PEER = key(1).peer_id
STATUS = SNAPSHOT.model_copy(update={"peers": (PeerView(peer_id=PEER),)})


async def answers(peer: str) -> float:
    assert peer == PEER
    return 0.0123


async def silent(peer: str) -> float:
    raise NetworkError(f"{peer} does not answer")


def test_a_peer_is_greeted_by_name_id_or_ending(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path, STATUS, ping=answers):
        for text in (PEER, PEER[-5:], name_of(PEER)):
            assert swarmd("ping", text, "--home", tmp_path).out == f"{named(PEER)} answers in 12 ms\n"


def test_no_answer_is_an_error_with_the_reason(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path, STATUS, ping=silent):
        outcome = swarmd("ping", PEER, "--home", tmp_path)
    assert (outcome.code, outcome.err) == (1, f"error: {PEER} does not answer\n")


def test_an_unknown_name_is_refused_and_no_daemon_is_an_error(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path, STATUS, ping=silent):
        assert swarmd("ping", "nobody-here", "--home", tmp_path).code == 2
    assert "no daemon is running" in swarmd("ping", PEER, "--home", tmp_path).err


def test_a_command_that_needs_a_daemon_ends_with_3_where_none_runs_or_there_is_no_home(
    swarmd, tmp_path
) -> None:
    for home in (tmp_path / "absent", Home.open(tmp_path / "idle").path):
        for command in (("ping", PEER), ("ping", "brisk-otter"), ("peers",)):
            outcome = swarmd(*command, "--home", home)
            assert outcome.code == 3
            assert "no daemon is running" in outcome.err


def test_pinging_oneself_is_called_that(swarmd, tmp_path) -> None:
    own = Home.open(tmp_path).key().peer_id
    with daemon_in(tmp_path, STATUS.model_copy(update={"peer_id": own}), ping=silent):
        for text in (own, name_of(own)):
            outcome = swarmd("ping", text, "--home", tmp_path)
            assert outcome.code == 2
            assert outcome.err == f"error: {named(own)} is this peer itself: name another one\n"
