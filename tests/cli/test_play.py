"""swarmd play against a real StatusServer on a real unix socket; only the desk is made up."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from swarmd.observe.play import SentView, VerdictView
from swarmd.storage import Home
from tests.cli.test_status import daemon_in
from tests.observe.test_play_routes import QUESTION, Told


@pytest.fixture
def desk() -> Told:
    return Told()


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_right_attempt_ends_the_question_and_is_sent_with_the_wrong_ones(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "5\n6\n")
    with daemon_in(tmp_path, play=desk):
        outcome = swarmd("play", "--home", tmp_path, "--questions", "1", "--name", "Ann")
    assert outcome.code == 0
    assert desk.calls[-1] == ("finish", "ab", [["5"], ["6"]], "Ann")
    for text in ("this peer was right in 0 of 8 tries, others were right in 1 of 8", "wrong\n", "right\n"):
        assert text in outcome.out
    assert "published as cdcdcdcdcdcd…" in outcome.out
    assert "1 of 2 right, published, pulled by 7 peers  gcd: gcd" in outcome.out


def test_an_empty_line_ends_the_attempts_and_the_next_question_is_another_one(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "\n")
    with daemon_in(tmp_path, play=desk):
        assert swarmd("play", "--home", tmp_path).code == 0
    assert desk.calls == [("ask", []), ("ask", ["ab"])]


def test_what_was_written_counts_even_if_the_input_ends(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "5\n")
    with daemon_in(tmp_path, play=desk):
        assert swarmd("play", "--home", tmp_path).code == 0
    assert desk.calls[-1] == ("finish", "ab", [["5"]], None)


def test_a_name_that_no_record_takes_is_refused_before_anything_is_written(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "5\n")
    with daemon_in(tmp_path, play=desk):
        outcome = swarmd("play", "--home", tmp_path, "--name", "a" * 57)
    assert outcome.code == 2
    assert "at most 56 bytes" in outcome.err
    assert desk.calls == []


def test_an_answer_of_several_lines_is_one_answer(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "rr\\\nbb\n")
    with daemon_in(tmp_path, play=desk):
        swarmd("play", "--home", tmp_path, "--questions", "1")
    assert ("judge", "ab", ["rr\nbb"]) in desk.calls


def test_hostile_text_of_a_task_moves_no_cursor(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.observe.test_play_routes.QUESTION", hostile := QUESTION.model_copy(
        update={"text": "\x1b[2Jgcd\u202e", "task": "a\x1b[31m"}
    ))  # fmt: skip
    type_in(monkeypatch, "\n")
    with daemon_in(tmp_path, play=desk):
        outcome = swarmd("play", "--home", tmp_path)
    assert "\x1b" in hostile.text
    assert "\\x1b[2Jgcd\\u202e" in outcome.out
    assert not {"\x1b", "\u202e"} & set(outcome.out)


def test_what_became_of_the_answers_is_shown_alone_and_as_json(swarmd, tmp_path: Path, desk: Told) -> None:
    with daemon_in(tmp_path, play=desk):
        assert "pulled by 7 peers" in swarmd("play", "--answers", "--home", tmp_path).out
        shown = swarmd("play", "--answers", "--json", "--home", tmp_path).out
    assert json.loads(shown)["answers"][0]["state"] == "published"


def test_who_cannot_play_is_told_why(swarmd, tmp_path: Path, desk: Told) -> None:
    idle = Home.open(tmp_path / "idle").path
    outcome = swarmd("play", "--home", idle)
    assert (outcome.code, "no daemon is running" in outcome.err) == (3, True)
    with daemon_in(tmp_path):
        outcome = swarmd("play", "--home", tmp_path)
    assert (outcome.code, "`swarmd play` does not work" in outcome.err) == (2, True)
    outcome = swarmd("play", "--json", "--home", tmp_path)
    assert (outcome.code, "--answers" in outcome.err) == (2, True)


def test_an_answer_that_waits_says_so(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def finish(*_: object) -> SentView:
        return SentView(state="waiting", message="not published yet")

    monkeypatch.setattr(desk, "finish", finish)
    type_in(monkeypatch, "6\n")
    with daemon_in(tmp_path, play=desk):
        assert "not published yet\n" in swarmd("play", "--home", tmp_path, "--questions", "1").out


def test_nobody_is_greeted_where_no_daemon_asks(
    swarmd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "5\n")
    outcome = swarmd("play", "--home", tmp_path / "none")
    assert outcome.code != 0
    assert outcome.out == ""


def test_an_attempt_without_an_opinion_of_the_judges_is_not_judged_yet(
    swarmd, tmp_path: Path, desk: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(question: str, turns: object) -> VerdictView:
        return VerdictView(plain=True)

    monkeypatch.setattr(desk, "judge", silent)
    type_in(monkeypatch, "5\n")
    with daemon_in(tmp_path, play=desk):
        outcome = swarmd("play", "--home", tmp_path, "--questions", "1")
    assert "not judged yet" in outcome.out
    assert "wrong" not in outcome.out
