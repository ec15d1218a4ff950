"""Lines of daemons in, rows out."""

from __future__ import annotations

import pytest

from tests.testnet.making import NOW, event, made


@pytest.fixture
def board(tmp_path):
    _, board = made(tmp_path, 2)
    return board


@pytest.fixture
def label(board) -> str:
    return next(iter(board.rows))


def test_a_row_shows_step_reward_and_groups_from_others(board, label) -> None:
    for step, external in ((1, 0), (2, 3)):
        board.heard(label, event("step", step=step, reward=0.25, external=external), NOW)
    row = board.rows[label]
    assert (row.state.step, row.steps, row.state.rewards, row.state.external) == (2, 2, (0.25, 0.25), 3)


def test_steps_of_this_run_are_counted_once_though_a_kill_undid_some(board, label) -> None:
    for step in (41, 42, 43, 42, 43, 44):
        board.heard(label, event("step", step=step, reward=0.5), NOW)
    assert board.rows[label].steps == 4


def test_held_out_success_keeps_what_it_was_at_the_start(board, label) -> None:
    first = event("evaluated", step=0, success=0.2, interval=[0.15, 0.26], untrained=0.2)
    later = event("evaluated", step=9, success=0.3, interval=[0.24, 0.36], untrained=None, trend="learned")
    board.heard(label, first, NOW)
    board.heard(label, later, NOW)
    found = board.rows[label].held_out
    assert (found.start, found.now, found.interval, found.trend) == (0.2, 0.3, (0.24, 0.36), "learned")


def test_health_is_the_phase_until_a_peer_is_up_then_healthy_or_the_first_reason(board, label) -> None:
    board.heard(label, event("phase", "debug", name="loading the model"), NOW)
    assert board.rows[label].health == "loading the model"
    board.change(label, is_up=True)
    board.heard(label, event("health", "debug", reasons=[]), NOW)
    assert board.rows[label].health == "healthy"
    board.heard(label, event("health", "debug", reasons=["no step\x1b[2J for 10 min", "no peers"]), NOW)
    assert board.rows[label].health == "no step\\x1b[2J for 10 min"


def test_what_chaos_does_stands_above_health_and_the_end_above_both(board, label) -> None:
    board.change(label, trouble="frozen")
    assert board.rows[label].health == "frozen"
    board.change(label, over="failed")
    assert board.rows[label].health == "failed"


def test_only_notable_events_become_lines(board, label) -> None:
    assert board.heard(label, event("pulled", "debug", publisher="x"), NOW) is None
    assert board.heard(label, event("checkpoint", step=3), NOW) is None
    line = board.heard(label, event("warning", "warning", message="no answer\x1b[0m"), NOW)
    assert (line.label, line.text, line.level) == (label, "no answer\\x1b[0m", "warning")


@pytest.mark.parametrize("text", ["", "Traceback", "[1, 2]", '"event"', "{", '{"step": 1}'])
def test_anything_that_is_no_event_is_shown_as_it_is(board, label, text: str) -> None:
    line = board.heard(label, text, NOW)
    assert (line.label, line.text) == (label, text)


def test_others_than_peers_have_lines_and_no_row(board) -> None:
    line = board.heard("observer", event("page", message="http://127.0.0.1:8080/"), NOW)
    assert line.text == "page: http://127.0.0.1:8080/"
    assert len(board.rows) == 2
