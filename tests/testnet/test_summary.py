"""What a testnet came to, from what the peers wrote in their homes."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pytest
from rich.console import Console

from protocol import KeyPair
from swarmd.storage import Database
from swarmd.testnet import tables
from swarmd.testnet.chaos import Fault
from swarmd.testnet.homes import Settler
from swarmd.testnet.summary import Summary, reward_of, sum_up
from tests.testnet.making import NOW, board_of, event, made, stepped, under_way

STRANGER = KeyPair.from_seed(bytes(32)).peer_id


def write(peer: Settler, rewards: Sequence[float], used: dict[str, int], refused: Sequence[str] = ()) -> None:
    with Database(peer.home.database_path) as database:
        for step, reward in enumerate(rewards, 1):
            database.steps.record(step, reward=reward, metrics={}, now=NOW)
        database.partners.used(used, now=NOW)
        for number, publisher in enumerate(refused):
            database.ledger.rejected("signature", now=NOW, digest=bytes([number]), publisher=publisher)


def summary_of(directory, *, attacks: Sequence[str] = (), faults: Sequence[Fault] = ()) -> Summary:
    """Two peers; the first learned from the second and from an attacker."""
    settlers, board = made(directory, 2)
    first, second = settlers
    write(first, [0.1, 0.1, 0.3, 0.5], {second.peer_id: 7, STRANGER: 1}, [STRANGER, STRANGER, second.peer_id])
    write(second, [0.2] * 4, {first.peer_id: 2})
    for label in board.rows:
        under_way(board, label)
        stepped(board, label, 4)
        board.change(label, over="done")
    score = event("evaluated", step=4, success=0.3, interval=[0.24, 0.37], untrained=0.25, trend="learned")
    board.heard(first.label, score, NOW)
    rows = list(board.rows.values())
    return sum_up(rows, settlers, settlers, faults=faults, attacks=attacks, failed=(), seconds=60.0)


def shown(summary: Summary) -> str:
    out = io.StringIO()
    Console(file=out, width=110).print(tables.summed_up(summary))
    return out.getvalue()


def test_reward_is_compared_between_the_first_and_the_last_steps() -> None:
    found = reward_of([0.1, 0.3, 0.4, 0.6])
    assert (found.start, found.now) == (pytest.approx(0.2), pytest.approx(0.5))
    low, high = found.interval
    assert low < 0.5 < high
    assert (low + high) / 2 == pytest.approx(0.5)


@pytest.mark.parametrize("rewards", [[], [0.5]])
def test_without_two_steps_there_is_no_interval(rewards: list[float]) -> None:
    assert reward_of(rewards).interval is None


def test_it_says_who_learned_from_whom_and_leaves_attackers_out_of_that(tmp_path) -> None:
    summary = summary_of(tmp_path)
    first, second = summary.peers
    assert first.learned_from == {f"2 {second.name}": 7}
    assert second.learned_from == {f"1 {first.name}": 2}
    assert summary.attackers is None
    matrix = [line.split() for line in shown(summary).splitlines() if line.startswith(("1 ", "2 "))][-2:]
    assert [row[2:] for row in matrix] == [["·", "7"], ["2", "·"]]


def test_steps_of_an_earlier_run_do_not_count_as_the_start(tmp_path) -> None:
    settlers, _ = made(tmp_path, 2)
    board = board_of(settlers)
    for each in settlers:
        write(each, [0.0, 0.0, 0.6, 0.8], {})
        for step in (3, 4):
            stepped(board, each.label, step)
    rows = list(board.rows.values())
    summary = sum_up(rows, settlers, settlers, faults=(), attacks=(), failed=(), seconds=1.0)
    assert [(peer.steps, peer.step) for peer in summary.peers] == [(2, 4)] * 2
    assert summary.peers[0].reward.start == pytest.approx(0.6)


def test_what_attackers_got_is_counted_by_name_reason_and_share(tmp_path) -> None:
    found = summary_of(tmp_path, attacks=["draws-50"]).attackers
    assert (found.identities, found.refused, found.drawn) == (1, {"signature": 2}, 1)
    assert found.drawn_share == pytest.approx(0.1)


def test_a_peer_of_an_earlier_and_larger_run_is_no_attacker(tmp_path) -> None:
    settlers, board = made(tmp_path, 3)
    write(settlers[0], [0.5], {settlers[2].peer_id: 4})
    rows = list(board.rows.values())[:2]
    found = sum_up(rows, settlers[:2], settlers, faults=(), attacks=["draws-50"], failed=(), seconds=1.0)
    assert found.attackers.drawn == 0
    assert found.peers[0].learned_from == {settlers[2].label: 4}


def test_a_peer_that_never_started_is_summed_up_too(tmp_path) -> None:
    settlers, board = made(tmp_path, 2)
    rows = list(board.rows.values())
    summary = sum_up(rows, settlers, settlers, faults=(), attacks=(), failed=("1 x",), seconds=0.0)
    assert [peer.steps for peer in summary.peers] == [0, 0]
    assert shown(summary).count("–") >= 4


def test_faults_are_counted_by_kind_and_whoever_is_missing_is_named(tmp_path) -> None:
    faults = [
        Fault("1 x", "killed", 1.0, 1, 3, back_after_s=9.0),
        Fault("2 y", "killed", 2.0, 1, 3, back_after_s=4.0),
        Fault("2 y", "frozen", 30.0, 2, 8),
    ]
    lines = shown(summary_of(tmp_path, faults=faults)).splitlines()
    assert ["killed", "2", "2", "9", "s"] in [line.split() for line in lines]
    assert ["frozen", "1", "0", "–"] in [line.split() for line in lines]
    assert "not back: 2 y, frozen" in [line.strip() for line in lines]


def test_the_json_has_all_of_it(tmp_path) -> None:
    found = json.loads(json.dumps(summary_of(tmp_path, attacks=["flood-stores"]).to_json()))
    assert set(found) == {"seconds", "peers", "faults", "attackers", "failed"}
    first = found["peers"][0]
    assert first["held_out"] == {
        "start": 0.25, "now": 0.3, "interval": [0.24, 0.37], "step": 4, "trend": "learned"
    }  # fmt: skip
    assert first["reward"]["start"] == pytest.approx(0.1)
    assert found["attackers"]["kinds"] == ["flood-stores"]
