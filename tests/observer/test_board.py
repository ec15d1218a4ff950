"""The board: success by what was scored here, of the newest groups of each peer, within bounds."""

from __future__ import annotations

import pytest

from swarmd.observer import board as board_module
from swarmd.observer.board import RANKED_GROUPS, RECENT_GROUPS, Board


def test_the_most_successful_comes_first() -> None:
    board = Board()
    for reward in (0.25, 0.5):
        board.add("slow", reward)
        board.add("good", reward + 0.5)
    found = board.successes()
    assert list(found) == ["good", "slow"]
    assert found["good"].mean == pytest.approx(0.875)
    assert found["good"].groups == 2


def test_the_interval_is_that_of_the_mean_and_needs_two_groups() -> None:
    board = Board()
    board.add("one", 0.5)
    assert board.successes()["one"].interval is None
    for _ in range(50):
        board.add("many", 0.25)
        board.add("many", 0.75)
    low, high = board.successes()["many"].interval or (0, 0)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-3)


def test_equal_rewards_make_no_empty_interval_and_none_beyond_what_a_reward_can_be() -> None:
    board = Board()
    for reward in (0.0, 0.5, 1.0):
        for _ in range(10):
            board.add(f"always {reward}", reward)
    found = {peer: success.interval for peer, success in board.successes().items()}
    assert found["always 0.0"] == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert found["always 0.5"] == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert found["always 1.0"] == pytest.approx((0.7225, 1.0), abs=1e-3)


def test_old_groups_are_forgotten_since_a_peer_learns() -> None:
    board = Board()
    board.add("peer", 0.0)
    for _ in range(RECENT_GROUPS):
        board.add("peer", 1.0)
    assert board.successes()["peer"].mean == 1.0


def test_few_lucky_groups_do_not_come_before_ten_and_a_sure_success_comes_first() -> None:
    board = Board()
    for n in range(RANKED_GROUPS):
        board.add("unsure", float(n < 6))
    for _ in range(RECENT_GROUPS):
        board.add("sure", 0.5)
    for _ in range(RANKED_GROUPS - 1):
        board.add("lucky", 1.0)
    board.add("luckier", 1.0)
    assert list(board.successes()) == ["sure", "unsure", "lucky", "luckier"]


def test_the_peer_with_the_fewest_groups_makes_room_then_the_one_heard_longest_ago(monkeypatch) -> None:
    monkeypatch.setattr(board_module, "PEERS_MAX", 3)
    board = Board()
    for peer in ("a", "a", "b", "c", "d", "e"):
        board.add(peer, 0.5)
    assert set(board.successes()) == {"a", "d", "e"}
