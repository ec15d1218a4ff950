"""The page's play section in a real browser: a person answers, and hostile text stays text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarmd.observe import StatusSnapshot
from swarmd.observe.play import SentView, VerdictView
from tests.browser.test_page import SEEN, Watched, served
from tests.observe import test_play_routes
from tests.observe.full_peer import HOSTILE, full_status
from tests.observe.test_play_routes import Told

PLAYING = StatusSnapshot.model_validate(full_status()).model_copy(update={"plays": True})

pytestmark = pytest.mark.timeout(120)


async def test_a_person_answers_on_the_page_and_hostile_text_stays_text(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = test_play_routes.QUESTION.model_copy(update={"text": HOSTILE})
    monkeypatch.setattr(test_play_routes, "QUESTION", asked)
    desk = Told()
    async with served(lambda: PLAYING, tmp_path / "sock", play=desk) as url:
        watched = Watched(await chromium.new_page())
        page = watched.page
        await page.goto(url)
        await watched.says("#play", "pulled by 7 peers")
        await page.get_by_role("button", name="Ask me a question").click()
        await watched.says("#play pre", SEEN)
        await page.fill("#play-name", "Ann")
        await page.fill("#play-text", "5")
        await page.get_by_role("button", name="Answer").click()
        await watched.says("#play li", "Wrong.")
        await page.fill("#play-text", "6")
        await page.get_by_role("button", name="Answer").click()
        await watched.says("#play-said", "published")
        assert watched.wrong == []
    assert desk.calls[-1] == ("finish", "ab", [["5"], ["6"]], "Ann")


async def answering(chromium: Any, url: str) -> Watched:
    """A page on which a question was asked, and 5 is written but not sent."""
    watched = Watched(await chromium.new_page())
    page = watched.page
    await page.goto(url)
    await page.get_by_role("button", name="Ask me a question").click()
    await page.fill("#play-text", "5")
    return watched


async def test_who_asks_for_another_question_sends_what_was_written(chromium: Any, tmp_path: Path) -> None:
    desk = Told()
    async with served(lambda: PLAYING, tmp_path / "sock", play=desk) as url:
        watched = await answering(chromium, url)
        page = watched.page
        await page.get_by_role("button", name="Answer").press("Enter")
        await watched.says("#play li", "Wrong.")
        await page.locator("#play-text:focus").wait_for()
        await page.get_by_role("button", name="Ask me a question").click()
        await watched.says("#play-said", "published")
        await page.locator("#play-text:focus").wait_for()
        assert watched.wrong == []
    assert desk.calls[-2:] == [("finish", "ab", [["5"]], None), ("ask", ["ab"])]


class Refusing(Told):
    """Refuses what it is sent, as after a restart."""

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        return await super().finish("gone", attempts, name)


async def answered_wrong(chromium: Any, url: str) -> Watched:
    """A page on which a question was answered with 5, which is wrong."""
    watched = await answering(chromium, url)
    await watched.page.press("#play-text", "Control+Enter")
    await watched.says("#play li", "Wrong.")
    return watched


async def test_a_refused_send_is_told_before_the_next_question(chromium: Any, tmp_path: Path) -> None:
    desk = Refusing()
    async with served(lambda: PLAYING, tmp_path / "sock", play=desk) as url:
        watched = await answered_wrong(chromium, url)
        page = watched.page
        await page.get_by_role("button", name="Ask me a question").click()
        await watched.says("#play-said", "no longer open")
        assert desk.calls[-1] == ("finish", "gone", [["5"]], None)
        await page.get_by_role("button", name="Ask me a question").click()
        await page.locator("#play li", has_text="Wrong.").wait_for(state="detached")
    assert desk.calls[-1] == ("ask", ["ab"])


async def test_answers_that_never_arrived_are_sent_with_the_next_question(
    chromium: Any, tmp_path: Path
) -> None:
    desk = Told()
    async with served(lambda: PLAYING, tmp_path / "sock", play=desk) as url:
        watched = await answered_wrong(chromium, url)
        page = watched.page
        await page.route("**/play/finish", lambda route: route.abort(), times=1)
        await page.get_by_role("button", name="No further attempt").click()
        await watched.says("#play-said", "Failed to fetch")
        await page.get_by_role("button", name="Ask me a question").click()
        await watched.says("#play-said", "published")
        await page.locator("#play li", has_text="Wrong.").wait_for(state="detached")
    assert [call[0] for call in desk.calls[-2:]] == ["finish", "ask"]


class Slow(Told):
    """Answers only when the test says so, as behind the scoring of a step."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = asyncio.Event()

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        await self.ready.wait()
        return await super().judge(question, turns)


async def test_a_key_that_is_pressed_twice_sends_the_answer_once(chromium: Any, tmp_path: Path) -> None:
    desk = Slow()
    async with served(lambda: PLAYING, tmp_path / "sock", play=desk) as url:
        watched = await answering(chromium, url)
        page = watched.page
        await page.press("#play-text", "Control+Enter")
        await page.press("#play-text", "Control+Enter")
        desk.ready.set()
        await watched.says("#play li", "Wrong.")
        await page.fill("#play-text", "6")
        await page.press("#play-text", "Control+Enter")
        await watched.says("#play-said", "published")
        assert watched.wrong == []
    assert desk.calls[-1] == ("finish", "ab", [["5"], ["6"]], None)


async def test_where_nobody_may_play_nothing_of_it_is_shown(chromium: Any, tmp_path: Path) -> None:
    quiet = PLAYING.model_copy(update={"plays": False})
    async with served(lambda: quiet, tmp_path / "sock") as url:
        watched = Watched(await chromium.new_page())
        await watched.page.goto(url)
        await watched.says("#learning", "")
        assert await watched.page.locator("#play").is_hidden()
        assert watched.wrong == []
