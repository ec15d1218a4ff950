"""swarmd status against a real StatusServer on a real unix socket; only the snapshot is made up."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from swarmd.observe import (
    Groups,
    Health,
    IgnoredPeer,
    Judgement,
    PeerView,
    Starting,
    StatusServer,
    StatusSnapshot,
)
from swarmd.storage import Home
from tests.observe import made_up_peer

SNAPSHOT = made_up_peer.SNAPSHOT.model_copy(
    update={
        "health": Health(ok=False, reasons=("no step for 10 min",)),
        "phase": "generating",
        "groups": Groups(own=48, published=47, pulled=30, external_used=20, rejected={"signature": 2}),
        "peers": (
            PeerView(
                peer_id="12D3KooWxxxxxxother",
                age_s=3.0,
                step=9,
                model="[red]\x1b[2Jm\u202e",
                groups_pulled=5,
                held_out_claimed=0.987,
                standing="met",
                trust=0.5,
                groups_taught=11,
                points_lost={"absent": 2},
            ),
        ),
        "judgement": Judgement(
            ignored=(
                IgnoredPeer(peer_id="12D3KooWxxxxxxother", reason="absent", seconds_left=250.0),
                IgnoredPeer(peer_id="12D3KooWyyyyyybanned", reason="banned"),
            ),
            points_lost={"absent": 2},
            misbehaved={"flood": 7},
            refused={"streams": 9},
            junk={"clock": 4},
        ),
        "join_command": "swarmd join --peer /ip4/127.0.0.1/tcp/4001/p2p/12D3KooWme",
        "reward_history": (0.0, 1.0),
    }
)


@contextmanager
def daemon_in(
    home: Path,
    snapshot: StatusSnapshot | Starting = SNAPSHOT,
    judge: Callable[[str, Sequence[str]], str | None] | None = None,
) -> Iterator[None]:
    """A daemon as far as `status` can tell, in a thread of its own as it is in a process of its own."""
    path = Home.open(home).socket_path
    started = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, StatusServer]] = []

    async def serve() -> None:
        server = StatusServer(lambda: snapshot, path, judge=judge)
        server.bind()
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve())
            await server.started.wait()
            stop.append((asyncio.get_running_loop(), server))
            started.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(timeout=10)
    try:
        yield
    finally:
        loop, server = stop[0]
        loop.call_soon_threadsafe(server.stop)
        thread.join(timeout=10)


def test_json_has_everything_the_issue_asks_for(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path):
        outcome = swarmd("status", "--json", "--home", tmp_path)
    assert outcome.code == 0
    status = json.loads(outcome.out)
    assert StatusSnapshot.model_validate(status) == SNAPSHOT
    assert set(status) >= {
        "health", "peer_id", "swarm", "round", "step", "phase", "uptime_s", "model", "device", "dtype",
        "lora",
        "addresses", "http", "reward", "evaluation", "groups", "peers",
    }  # fmt: skip
    assert status["health"] == {"ok": False, "reasons": ["no step for 10 min"]}
    assert isinstance(status["swarm"], str)
    assert status["http"] is None
    assert set(status["reward"]) == {"last", "mean_20", "best_20"}
    assert set(status["groups"]) == {"own", "published", "pulled", "external_used", "rejected"}
    assert set(status["peers"][0]) == {
        "peer_id", "address", "age_s", "step", "model", "groups_pulled", "reward_mean",
        "held_out_claimed", "standing", "trust", "groups_taught", "points_lost",
    }  # fmt: skip
    assert status["judgement"]["ignored"] == [
        {"peer_id": "12D3KooWxxxxxxother", "reason": "absent", "seconds_left": 250.0},
        {"peer_id": "12D3KooWyyyyyybanned", "reason": "banned", "seconds_left": None},
    ]


def test_the_table_shows_the_same_to_people(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path):
        out = swarmd("status", "--home", tmp_path).out
    for expected in (
        "no step for 10 min",
        "12D3KooWme",
        "starter (abababababab)",
        "12 · generating · up 1 min 1 s",
        "embedded on cpu, float32, LoRA off",
        "last 0.250 · mean of 20 0.200 · best 0.220",
        "▁█",
        "0.430 at step 10 · 0.340 – 0.530 · 100 questions",
        "claimed",
        "0.987",
        "48 own · 47 published · 30 pulled · 20 used from others",
        "signature 2",
        "swarmd join --peer",
        "3 s ago",
        "met",
        "0.50",
        "absent 2",
        "12D3KooW…xother for 4 min 10 s more: absent",
        "12D3KooW…banned until `swarmd unban`: banned",
        "flood 7",
        "streams 9",
        "clock 4",
    ):
        assert expected in out


def test_a_flood_of_names_does_not_scroll_the_known_away(swarmd, tmp_path) -> None:
    names = tuple(PeerView(peer_id=f"12D3KooWname{n:07}") for n in range(1_000))
    with daemon_in(tmp_path, SNAPSHOT.model_copy(update={"peers": (*SNAPSHOT.peers, *names)})):
        out = swarmd("status", "--home", tmp_path).out
    assert "0.987" in out
    assert "and 937 more, all with --json" in out
    assert len(out.splitlines()) < 120


def test_what_a_peer_calls_itself_is_neither_markup_nor_an_escape_sequence(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path):
        out = swarmd("status", "--home", tmp_path).out
    assert "[red]\\x1b[2Jm\\u202e" in out
    assert "\x1b" not in out


def test_several_daemons_on_one_machine_are_told_apart_by_home(swarmd, tmp_path) -> None:
    other = SNAPSHOT.model_copy(update={"peer_id": "12D3KooWyou"})
    with daemon_in(tmp_path / "a"), daemon_in(tmp_path / "b", other):
        for home, peer_id in (("a", "12D3KooWme"), ("b", "12D3KooWyou")):
            outcome = swarmd("status", "--json", "--home", tmp_path / home)
            assert json.loads(outcome.out)["peer_id"] == peer_id


def test_no_daemon_says_so_with_exit_code_3(swarmd, tmp_path) -> None:
    for home in (tmp_path / "absent", Home.open(tmp_path / "idle").path):
        outcome = swarmd("status", "--home", home)
        assert outcome.code == 3
        assert outcome.out == ""
        assert outcome.err.startswith(f"error: no daemon is running in {home}: start one with `swarmd join`")


def test_a_daemon_that_does_not_answer_is_not_called_absent(swarmd, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.observe.client.ANSWER_S", 0.05)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(Home.open(tmp_path).socket_path))
        mute.listen(1)
        outcome = swarmd("status", "--home", tmp_path)
    assert outcome.code == 1
    assert "does not answer within 0.05 s" in outcome.err
