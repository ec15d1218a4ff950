"""swarmd status against a real StatusServer on a real unix socket; only the snapshot is made up."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from swarmd.cli.peer_table import peer_table
from swarmd.cli.showing_status import render
from swarmd.names import named
from swarmd.observe import (
    Groups,
    Health,
    HeardPeer,
    Hearing,
    HelpedPeer,
    Helping,
    IgnoredPeer,
    Judgement,
    Learning,
    Measured,
    PeerView,
    ReachView,
    RewardCurve,
    Starting,
    StatusServer,
    StatusSnapshot,
    Trend,
)
from swarmd.observe.play import Play
from swarmd.storage import Home
from tests.observe import made_up_peer

OTHER = "12D3KooWxxxxxxother"
SNAPSHOT = made_up_peer.SNAPSHOT.model_copy(
    update={
        "health": Health(ok=False, reasons=("no step for 10 min",)),
        "phase": "generating",
        "groups": Groups(
            own=48, published=47, pulled=30, external_used=20, rejected={"signature": 2, "pull": 4}
        ),
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
    ping: Callable[[str], Awaitable[float]] | None = None,
    play: Play | None = None,
) -> Iterator[None]:
    """A daemon as far as `status` can tell, in a thread of its own as it is in a process of its own."""
    path = Home.open(home).socket_path
    started = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, StatusServer]] = []

    async def serve() -> None:
        server = StatusServer(lambda: snapshot, path, carry_out=judge, ping=ping, play=play)
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
        "peer_id", "name", "gone", "last_seen", "connected", "address", "age_s", "step", "model", "device",
        "groups_pulled", "groups_used", "pulls", "groups_trained_on_claimed", "used_claimed", "reward_mean",
        "held_out_claimed", "standing", "on_trial", "trust", "groups_taught", "points_lost",
    }  # fmt: skip
    assert set(status["helping"]) == {
        "groups_published", "pulls", "pulled_by", "groups_trained_on_claimed", "trained_on_by_claimed",
        "peers",
    }  # fmt: skip
    assert set(status["hearing"]) == {"groups_used", "taught_by", "peers"}
    assert status["judgement"]["ignored"] == [
        {"peer_id": "12D3KooWxxxxxxother", "reason": "absent", "seconds_left": 250.0},
        {"peer_id": "12D3KooWyyyyyybanned", "reason": "banned", "seconds_left": None},
    ]


def test_all_facts_are_shown_to_people_who_ask_for_them(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path):
        out = swarmd("status", "--all", "--home", tmp_path).out
    for expected in (
        "no step for 10 min",
        "12D3KooWme",
        "starter (abababababab)",
        "12 · generating · up 1 min 1 s",
        "embedded on cpu, float32, LoRA off",
        "last 0.250 · mean of 20 0.200 · best 0.220",
        "20.0 tokens per completion · 90% end by themselves · entropy 1.20 nats per token",
        "▁█",
        "0.430 at step 10 · 0.340 – 0.530 · 100 questions",
        "48 own · 47 published · 30 pulled · 20 used from others",
        "signature 2",
        "4 groups, because their peers left or were slow",
        "swarmd join --peer",
        "met",
        "absent 2",
        f"{named('12D3KooWxxxxxxother')} for 4 min 10 s more: absent",
        f"{named('12D3KooWyyyyyybanned')} until `swarmd unban`: banned",
        "flood 7",
        "streams 9",
        "clock 4",
    ):
        assert expected in out


LEARNING = Learning(
    untrained=Measured(first_step=0, step=0, success=0.3, interval=(0.257, 0.347), questions=400),
    now=Measured(first_step=10, step=40, success=0.438, interval=(0.390, 0.486), questions=400),
    trend=Trend(since_step=0, difference=0.138, interval=(0.093, 0.181), questions=400, word="learned"),
    reward=RewardCurve(step=(1, 2), mean=(0.0, 1.0), low=(0.0, 1.0), high=(0.0, 1.0)),
)


@pytest.mark.parametrize(
    ("learning", "line"),
    [
        (Learning(), "held-out success: not measured yet"),
        (
            Learning(untrained=LEARNING.untrained),
            "held-out success 0.300 (0.257 – 0.347) of 400 questions, untrained",
        ),
        (LEARNING.model_copy(update={"untrained": None}), "since step 0; learned: +0.138 (+0.093 to +0.181)"),
    ],
)
def test_what_is_known_of_learning_so_far_is_said(swarmd, tmp_path, learning, line) -> None:
    with daemon_in(tmp_path, SNAPSHOT.model_copy(update={"learning": learning})):
        assert line in swarmd("status", "--home", tmp_path).out


def test_one_screen_of_80_columns_says_whether_the_peer_learns_helps_and_hears(
    swarmd, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    helping = Helping(
        groups_published=47,
        pulls=31,
        pulled_by=2,
        groups_trained_on_claimed=12,
        trained_on_by_claimed=1,
        peers=(
            HelpedPeer(
                peer_id=OTHER, name="", pulls=30, groups_trained_on_claimed=12, last_seen=0.0, gone=False
            ),
        ),
    )
    heard = HeardPeer(peer_id=OTHER, name="", groups_used=20, last_seen=0.0, gone=True)
    full = SNAPSHOT.model_copy(
        update={
            "learning": LEARNING,
            "helping": helping,
            "hearing": Hearing(groups_used=20, taught_by=3, peers=(heard,)),
            "reach": ReachView(
                says="relayed: other peers reach this one through a relay",
                remedy="forward TCP port 41000",
                ways={"direct": 20, "relay": 3, "inline": 1},
                places=1,
                relayed_bytes=2_500_000,
            ),
        }
    )
    with daemon_in(tmp_path, full):
        out = swarmd("status", "--home", tmp_path).out
    screen, _, join = out.partition("others join with: ")
    assert join.startswith("swarmd join --peer /ip4/")
    assert all(len(line.rstrip()) <= 80 for line in screen.splitlines())
    assert len(screen.splitlines()) <= 24
    for expected in (
        "● no step for 10 min",
        "held-out success 0.438 (0.390 – 0.486) of 400 questions, at step 40",
        "untrained 0.300; learned: +0.138 (+0.093 to +0.181)",
        "reward 0.200 over the last 20 steps, at best 0.220; since step 1:",
        "▁█",
        "47 groups published, pulled 31 times by 2 peers",
        "1 peer says that it trained on 12 of them:",
        f"{named(OTHER)} 12",
        "learned from 20 groups of 3 peers:",
        f"{named(OTHER)} 20 (gone) and 2 more",
        "relayed: other peers reach this one through a relay",
        "→ forward TCP port 41000",
        "groups came: 20 directly, 3 through relays, 1 from the DHT",
        "relays for 1 peer: 2.5 MB so far",
    ):
        assert expected in screen


def test_peers_that_are_gone_are_counted_and_listed_only_on_request(swarmd, tmp_path) -> None:
    gone = PeerView(peer_id="12D3KooWlonggone01", gone=True, last_seen=1.0, points_lost={"unreachable": 9})
    with daemon_in(tmp_path, SNAPSHOT.model_copy(update={"peers": (*SNAPSHOT.peers, gone)})):
        out = swarmd("status", "--home", tmp_path).out
        listed, everybody = (swarmd("peers", *flags, "--home", tmp_path).out for flags in ((), ("--all",)))
        plain = json.loads(swarmd("peers", "--all", "--json", "--home", tmp_path).out)
    assert "gone: 1, listed by `swarmd peers --all`" in out
    assert named(gone.peer_id) not in out + listed
    assert "gone: 1, listed with --all" in listed
    [line] = [line for line in everybody.splitlines() if named(gone.peer_id) in line]
    assert "gone" in line.replace(named(gone.peer_id), "")
    assert "unreachable" not in everybody
    assert [peer["peer_id"] for peer in plain] == [OTHER, gone.peer_id]


def test_watching_is_for_one_home_on_a_screen(swarmd, tmp_path) -> None:
    for other in (("--json",), ("--peer", "/ip4/127.0.0.1/tcp/1/p2p/x")):
        outcome = swarmd("status", "--watch", *other, "--home", tmp_path)
        assert outcome.code == 2
        assert "leave out --json and --peer" in outcome.err


def test_watching_redraws_until_interrupted_and_says_when_the_daemon_is_gone(
    swarmd, tmp_path, monkeypatch
) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("swarmd.cli.showing_status.time.sleep", sleep)
    outcome = swarmd("status", "--watch", "--home", tmp_path)
    assert (outcome.code, len(naps)) == (0, 2)
    assert "no daemon is running" in outcome.out


def test_watching_a_home_of_devices_shows_each_of_them(swarmd, tmp_path, monkeypatch) -> None:
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swarmd.cli.showing_status.time.sleep", sleep)
    for name in ("cuda-0", "cuda-1"):
        Home.open(tmp_path / "devices" / name).key()
    with daemon_in(tmp_path / "devices" / "cuda-0"):
        out = swarmd("status", "--watch", "--home", tmp_path).out
    assert "── cuda-0" in out
    assert named(SNAPSHOT.peer_id) in out
    assert out.index("── cuda-1") < out.index("no daemon is running")


def test_a_flood_of_names_does_not_scroll_the_known_away(swarmd, tmp_path) -> None:
    names = tuple(PeerView(peer_id=f"12D3KooWname{n:07}") for n in range(1_000))
    with daemon_in(tmp_path, SNAPSHOT.model_copy(update={"peers": (*SNAPSHOT.peers, *names)})):
        out = swarmd("status", "--home", tmp_path).out
    assert named(OTHER) in out
    assert "and 969 more: `swarmd peers --json` lists all" in out
    assert len(out.splitlines()) < 60


def test_what_a_peer_calls_itself_is_neither_markup_nor_an_escape_sequence(swarmd, tmp_path) -> None:
    with daemon_in(tmp_path):
        out = swarmd("status", "--home", tmp_path).out
    assert "[red]\\x1b[2Jm…" in out
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


@pytest.mark.parametrize(
    ("changes", "shown"),
    [({"on_trial": True}, "on trial"), ({}, "met"), ({"on_trial": True, "gone": True}, "gone")],
)
def test_the_table_of_peers_says_who_is_on_trial(changes, shown) -> None:
    peer = PeerView(peer_id=OTHER, standing="met", last_seen=1.0).model_copy(update=changes)
    console = Console(width=80)
    with console.capture() as said:
        console.print(peer_table([peer], now=2.0))
    assert shown in said.get()


def test_all_facts_tell_the_untrained_success_and_no_table_of_nobody() -> None:
    learning = Learning(untrained=LEARNING.untrained)
    alone = SNAPSHOT.model_copy(update={"learning": learning, "evaluation": None, "peers": ()})
    console = Console(width=100)
    with console.capture() as shown:
        console.print(render(alone, everything=True))
    assert "0.300 untrained · 0.257 – 0.347 · 400 questions" in shown.get()
    assert "standing" not in shown.get()


def test_a_wrong_address_is_told_before_the_network_is_loaded(swarmd, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "swarmd.cli.status_outside", None)
    outcome = swarmd("status", "--peer", "127.0.0.1:41000")
    assert (outcome.code, outcome.out) == (2, "")
    assert "peer address '127.0.0.1:41000' is malformed" in outcome.err
    assert "loading" not in outcome.err
