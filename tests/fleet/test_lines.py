"""Lines of several peers on one output."""

from __future__ import annotations

import json

import pytest

from swarmd.fleet.lines import labelled, labelled_json


def test_lines_for_people_align_behind_the_name() -> None:
    assert labelled("step 3\n", "cpu:0", 6) == "cpu:0  | step 3"
    assert labelled("  File x\n", "cuda:0", 6) == "cuda:0 |   File x"


def test_the_last_state_of_a_progress_bar_is_left_and_no_escape_sequence_passes() -> None:
    assert labelled("10%\r55%\r100%\r\n", "cpu:0", 5) == "cpu:0 | 100%"
    assert labelled("\x1b[2J\n", "cpu:0", 5) == "cpu:0 | \\x1b[2J"
    assert labelled("\n", "cpu:0", 5) == "cpu:0 | "


def test_a_json_line_stays_one_and_says_first_whose_it_is() -> None:
    line = labelled_json('{"ts": "now", "event": "plan", "device": "cuda:1"}\n', "cuda:1")
    assert line.startswith('{"on": "cuda:1", "ts": "now"')
    assert json.loads(line)["device"] == "cuda:1"


@pytest.mark.parametrize("stray", ["not json\n", "[1]\n", "3\n"])
def test_what_is_no_event_becomes_one(stray: str) -> None:
    event = json.loads(labelled_json(stray, "cpu:0"))
    assert event == {"on": "cpu:0", "event": "output", "level": "info", "message": stray.strip()}
