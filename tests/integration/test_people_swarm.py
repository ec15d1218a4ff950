"""A person beside a daemon: the answers travel, teach another policy, and their credit comes back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd.errors import SwarmdError
from swarmd.observe import StatusSnapshot, ask_to_play
from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, stop_all, wait_until

START_S = 600.0
TAUGHT_S = 1_200.0
"""A peer draws what it measures by, and leaves 50 times as long between measurements as they take."""

ANSWERS_MAX = 64
SWARM = """
name = "a person helps"
genesis = 2026-01-01T00:00:00Z
round_seconds = 10
reward = "exact"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
source = "reasoning_gym"
dataset = "gcd"
config = { min_numbers = 2, max_numbers = 2, min_value = 1, max_value = 60 }

[[tasks]]
source = "reasoning_gym"
dataset = "products"
config = { min_terms = 2, max_terms = 2, min_digits = 1, max_digits = 1 }
"""


DRAWINGS = """
name = "a person draws"
genesis = 2026-01-01T00:00:00Z
round_seconds = 10
reward = "exact"
max_new_tokens = 32
records_per_round_max = 64

[[tasks]]
source = "drawing"
dataset = "shapes"
config = { size = 4, shapes = 3, kinds = ["dot"] }
"""
NUMBERS = {"one": 1, "two": 2, "three": 3}
SPOTS = ((0, 0), (0, 2), (2, 0), (2, 2))
"""Cells of which no two touch."""


def drawing(question: str) -> str:
    """Dots of the colours that are asked for."""
    wanted = re.findall(r"(one|two|three) (\w+) dots?", question)
    letters = [colour[0].upper() for number, colour in wanted for _ in range(NUMBERS[number])]
    grid = [["-"] * 4 for _ in range(4)]
    for (row, column), letter in zip(SPOTS, letters, strict=False):
        grid[row][column] = letter
    return "\n".join(map("".join, grid))


def right_answer(question: str) -> str:
    """What a person would find."""
    if question.startswith("Draw"):
        return drawing(question)
    if (factors := re.search(r"(\d+) \* (\d+)", question)) is not None:
        return str(int(factors[1]) * int(factors[2]))
    return str(math.gcd(*map(int, re.findall(r"\d+", question.partition(":")[2]))))


def answer_one(daemon: DaemonProcess) -> str | None:
    """Answer one question in that peer's name; what became of it, or None if nothing is to be asked yet."""
    home, socket = daemon.home.path, daemon.home.socket_path
    try:
        question = ask_to_play(home, socket, "question", {"without": []})
    except SwarmdError:
        return None
    turns = [right_answer(question["text"])]
    verdict = ask_to_play(home, socket, "attempt", {"question": question["question"], "turns": turns})
    assert verdict["right"], f"{question['text']}: {turns}"
    finished = {"question": question["question"], "attempts": [turns], "name": "Ann"}
    return str(ask_to_play(home, socket, "finish", finished)["state"])


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_a_persons_answers_teach_another_peer_and_their_credit_comes_back(
    join: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    (tmp_path / "helped.toml").write_text(SWARM)
    swarm = ("--swarm", str(tmp_path / "helped.toml"), "--duty", "0.3")
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)
    second.wait_for_step(1, START_S)

    states: list[str] = []

    def taught(status: StatusSnapshot) -> bool:
        """Answers on while the others learn from it."""
        if status.peer_id == ann and len(states) < ANSWERS_MAX:
            states.extend(filter(None, [answer_one(first)]))
        credit = status.credit
        of_people = credit.claimed if status.peer_id == ann else credit.measured
        return any(each.people and each.groups > 0 for each in of_people)

    ann = first.wait_for("started")["peer_id"]
    at_first, at_second = wait_until([first, second], taught, TAUGHT_S)
    assert "published" in states
    [measured] = [each for each in at_second.credit.measured if each.people]
    assert measured.peer_id == ann
    [claimed] = [each for each in at_first.credit.claimed if each.people]
    assert claimed.groups > 0
    assert at_first.credit.people_taught_claimed >= (claimed.gain > 0)
    answers = ask_to_play(first.home.path, first.home.socket_path, "answers")
    assert max(each["pulled_by"] for each in answers["answers"]) == 1
    stop_all([first, second])
    assert_no_exception([first, second])


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_a_persons_drawings_are_what_a_policy_that_cannot_draw_learns_from(
    join: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    (tmp_path / "drawn.toml").write_text(DRAWINGS)
    swarm = ("--swarm", str(tmp_path / "drawn.toml"), "--duty", "0.3")
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)
    second.wait_for_step(1, START_S)
    ann = first.wait_for("started")["peer_id"]
    states: list[str] = []

    def drew(status: StatusSnapshot) -> bool:
        if status.peer_id == ann:
            if len(states) < ANSWERS_MAX:
                states.extend(filter(None, [answer_one(first)]))
            return "published" in states
        return status.groups.external_used > 0

    _, at_second = wait_until([first, second], drew, TAUGHT_S)
    assert at_second.groups.published == 0, "no policy drew anything that teaches"
    assert at_second.groups.rejected == {}
    stop_all([first, second])
    assert_no_exception([first, second])
