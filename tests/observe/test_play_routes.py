"""What a person sends to play: read strictly, bounded, and never taken from the page of another origin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from swarmd.errors import ConfigError
from swarmd.observe import Starting, StatusSnapshot
from swarmd.observe.app import status_app
from swarmd.observe.play import (
    AnswersView,
    AnswerView,
    QuestionView,
    SentView,
    TriesView,
    VerdictView,
)
from swarmd.observe.play_routes import PLAY_BYTES_MAX

HOST = "127.0.0.1:8765"
QUESTION = QuestionView(
    question="ab", task="gcd", text="<b>gcd</b>", turns=1, attempts_max=8,
    own=TriesView(right=0, tries=8), others=TriesView(right=1, tries=8),
)  # fmt: skip
ANSWER = AnswerView(
    question="ab", at=1.0, task="gcd", gist="gcd", attempts=2, right=1, state="published", digest="cd",
    pulled_by=7,
)  # fmt: skip


class Told:
    """A desk that remembers what it was asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def ask(self, without: Sequence[str]) -> QuestionView:
        self.calls.append(("ask", list(without)))
        return QUESTION

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        self.calls.append(("judge", question, list(turns)))
        return VerdictView(reward=float(turns[-1] == "6"), right=turns[-1] == "6", plain=True)

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        self.calls.append(("finish", question, [list(each) for each in attempts], name))
        if question == "gone":
            raise ConfigError("this question is no longer open")
        return SentView(state="published", message="published", digest="cd" * 32)

    def answers(self) -> AnswersView:
        return AnswersView(answers=(ANSWER,))


@pytest.fixture
def desk() -> Told:
    return Told()


@pytest.fixture
def client(snapshot: StatusSnapshot, desk: Told) -> httpx.AsyncClient:
    return client_of(lambda: snapshot, desk)


def client_of(snapshot: Callable[[], StatusSnapshot | Starting], desk: Told | None) -> httpx.AsyncClient:
    app = status_app(snapshot, play=desk)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{HOST}")


async def test_a_person_is_asked_judged_and_told(client: httpx.AsyncClient, desk: Told) -> None:
    asked = await client.post("/play/question", json={"without": ["cd"]})
    assert QuestionView.model_validate_json(asked.content) == QUESTION
    verdict = await client.post("/play/attempt", json={"question": "ab", "turns": ["6"]})
    assert verdict.json()["right"] is True
    sent = await client.post("/play/finish", json={"question": "ab", "attempts": [["6"]], "name": "Ann"})
    assert sent.json()["state"] == "published"
    assert (await client.get("/play/answers")).json()["answers"][0]["pulled_by"] == 7
    assert desk.calls == [
        ("ask", ["cd"]), ("judge", "ab", ["6"]), ("finish", "ab", [["6"]], "Ann")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "origin": "http://evil.example"},
        {"content-type": "application/json", "origin": "null"},
        {"content-type": "application/json", "origin": "http://127.0.0.1:9999"},
        {"content-type": "application/json", "origin": "http://["},
    ],
)
async def test_what_another_page_could_send_is_refused_unread(
    client: httpx.AsyncClient, desk: Told, headers: dict[str, str]
) -> None:
    body = b'{"question": "ab", "attempts": [["6"]], "name": null}'
    assert (await client.post("/play/finish", content=body, headers=headers)).status_code == 403
    assert desk.calls == []


async def test_the_page_itself_is_answered(client: httpx.AsyncClient, desk: Told) -> None:
    answer = await client.post("/play/question", json={}, headers={"origin": f"http://{HOST}"})
    assert (answer.status_code, desk.calls) == (200, [("ask", [])])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"question": "ab", "turns": "6"}',
        b'{"question": "ab", "turns": [6]}',
        b'{"question": "ab", "turns": ["6"], "reward": 1}',
        b'{"question": "ab", "turns": [' + b'"6",' * 2_000 + b'"6"]}',
        b'{"question": "ab", "turns": ["\\udcff"]}',
        b" " * (PLAY_BYTES_MAX + 1),
    ],
    ids=[
        "empty",
        "cut off",
        "a text",
        "a number",
        "a field more",
        "many turns",
        "a lone surrogate",
        "too long",
    ],
)
async def test_a_malformed_request_is_refused_with_a_sentence(
    client: httpx.AsyncClient, desk: Told, body: bytes
) -> None:
    answer = await client.post("/play/attempt", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, desk.calls) == (400, [])
    assert answer.json()["error"]


async def test_a_refusal_of_the_desk_is_the_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/play/finish", json={"question": "gone", "attempts": [["6"]], "name": None})
    assert (answer.status_code, answer.json()) == (400, {"error": "this question is no longer open"})


async def test_nobody_plays_before_there_is_a_peer_or_where_none_trains(
    snapshot: StatusSnapshot, desk: Told
) -> None:
    starting = Starting(phase="loading", uptime_s=1.0, peer_id=snapshot.peer_id, pid=1)
    answer = await client_of(lambda: starting, desk).post("/play/question", json={})
    assert (answer.status_code, desk.calls) == (503, [])
    assert (await client_of(lambda: snapshot, None).post("/play/question", json={})).status_code == 404
