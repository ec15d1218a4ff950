"""The page in a real browser: it follows its peer, keeps hostile text as text, and loads nothing else.

pytest tests/browser        needs Chromium and playwright; skipped without
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from protocol import KeyPair
from swarmd.errors import StorageError
from swarmd.names import name_of
from swarmd.observe import (
    Health,
    Ranked,
    Reward,
    Sources,
    Starting,
    StatusServer,
    StatusSnapshot,
    SwarmView,
)
from tests.observe.full_peer import HOSTILE, IDS, full_events, full_records, full_status

FULL = StatusSnapshot.model_validate(full_status())
SOURCES = Sources(records=full_records, events_since=full_events)
SEEN = "<img src=x onerror=alert(1)>\\u{202e}gnp.exe"
"""HOSTILE as a person sees it."""

pytestmark = pytest.mark.timeout(120)


class Watched:
    """A page that remembers what a page should never do."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.expects_silence = False
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not self.expects_silence:
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            self.wrong.append(f"request: {request.url}")

    async def text(self, selector: str) -> str:
        return str(await self.page.locator(selector).inner_text())

    async def says(self, selector: str, wanted: str) -> None:
        """Wait until the element's text holds `wanted`."""
        await self.page.locator(selector, has_text=wanted).first.wait_for()


@asynccontextmanager
async def served(
    snapshot: Callable[[], StatusSnapshot | Starting], path: Path, http: str = "127.0.0.1:0", **named: Any
) -> AsyncIterator[str]:
    server = StatusServer(snapshot, path, http, **{"sources": SOURCES, **named})
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        yield f"{server.base_url}/"
        server.stop()


async def opened(browser: Any, url: str, **context: Any) -> Watched:
    watched = Watched(await (await browser.new_context(**context)).new_page())
    await watched.page.clock.install()
    await watched.page.goto(url)
    return watched


async def test_two_peers_show_their_own_and_follow_what_changes(chromium, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.1)
    now = {"first": FULL}
    other = FULL.model_copy(update={"peer_id": IDS[1], "swarm": "another"})
    async with (
        served(lambda: now["first"], tmp_path / "a") as first_url,
        served(lambda: other, tmp_path / "b") as second_url,
    ):
        first, second = await opened(chromium, first_url), await opened(chromium, second_url)
        await first.says("#identity", name_of(IDS[0]))
        await second.says("#identity", name_of(IDS[1]))
        await second.says("#title", "another")
        await first.says(".answer", "Yes")
        now["first"] = FULL.model_copy(
            update={
                "step": 99_999,
                "health": Health(ok=False, reasons=("no step for 300 s (now: training); see the log",)),
                "reward": Reward(last=0.9, mean_20=0.87),
            }
        )
        await first.says(".answer", "It needs you")
        await first.says(".reasons", "no step for 300 s")
        await first.says(".answer", "99\u202f999")
        assert (await first.page.title()).startswith("! ")
        assert first.wrong == second.wrong == []


async def test_a_restart_is_survived_and_the_silence_is_told(chromium, tmp_path) -> None:
    async with served(lambda: FULL, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        await watched.says("#link", "live")
    watched.expects_silence = True
    await watched.page.clock.fast_forward(12_000)
    await watched.says("#link", "the peer has not answered since")
    again = Starting(phase="loading the model", uptime_s=3, peer_id=IDS[0], pid=8)
    state: list[StatusSnapshot | Starting] = [again]
    async with served(lambda: state[0], tmp_path / "a", url.removeprefix("http://").rstrip("/")):
        await watched.page.clock.fast_forward(12_000)
        await watched.says(".answer", "loading the model")
        state[0] = FULL
        await watched.says("#link", "live")
        await watched.says(".answer", "12\u202f480")
    assert [text for text in watched.wrong if not text.startswith("console")] == []


async def test_a_proxy_that_answers_for_a_dead_peer_is_not_taken_for_the_peer(chromium, tmp_path) -> None:
    async with served(lambda: FULL, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        await watched.says("#link", "live")
        watched.expects_silence = True
        bad_gateway = {"status": 502, "content_type": "text/html", "body": "<h1>502 Bad Gateway</h1>"}
        await watched.page.route("**/st*", lambda route: route.fulfill(**bad_gateway))
    for _ in range(3):
        async with watched.page.expect_response("**/state"):
            await watched.page.clock.fast_forward(4_000)
    await watched.says("#link", "the peer has not answered since")


async def test_why_the_peer_has_no_state_is_told(chromium, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.1)
    monkeypatch.setattr("swarmd.observe.stream.FRESH_S", 0.0)
    state: list[StatusSnapshot | None] = [FULL]

    def snapshot() -> StatusSnapshot:
        if state[0] is None:
            raise StorageError("the database cannot be read: the disk is full")
        return state[0]

    async with served(snapshot, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        await watched.says("#link", "live")
        state[0] = None
        await watched.says("#link", "the database cannot be read: the disk is full")
        state[0] = FULL
        await watched.says("#link", "live")
    assert [text for text in watched.wrong if not text.startswith("console")] == []


async def test_settings_that_could_not_be_read_are_asked_for_again_after_a_pause(
    chromium, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.5)
    now, asked = {"step": 1}, []

    def settings() -> dict[str, Any]:
        asked.append(now["step"])
        if len(asked) == 1:
            raise StorageError("the database cannot be read")
        return {"settings": {"seed": 7}, "changed": ["seed"], "plan": {}}

    sources = Sources(settings=settings)
    async with served(lambda: FULL.model_copy(update=now), tmp_path / "a", sources=sources) as url:
        watched = await opened(chromium, url)
        for step in (10_001, 10_002):
            now["step"] = step
            await watched.says(".answer", f"Step 10\u202f00{step % 10}")
        assert len(asked) == 1
        await watched.page.clock.fast_forward(12_000)
        await watched.says("#settings summary", "Settings")
        assert len(asked) == 2
    assert [text for text in watched.wrong if not text.startswith("console")] == []


async def test_hostile_text_stays_text_and_everything_is_reached_by_keyboard(chromium, tmp_path) -> None:
    async with served(lambda: FULL, tmp_path / "a") as url:
        watched = await opened(chromium, url, viewport={"width": 390, "height": 844}, color_scheme="dark")
        page = watched.page
        await watched.says("#peers", SEEN)
        await watched.says("#events", "<img src=x onerror=alert(1)>")
        await watched.says("#rollouts", SEEN)
        assert HOSTILE not in await page.content()
        assert await page.locator("main img").count() == 0
        await page.locator("#tab-own").focus()
        await page.keyboard.press("ArrowRight")
        assert await page.locator("#tab-others").get_attribute("aria-selected") == "true"
        await watched.says("#rollout-list", "Calculate 18")
        await page.locator("#rollout-list summary").nth(3).press("Enter")
        await watched.says("#rollout-list", "claimed: not the same")
        await page.locator("#rollout-list summary").nth(1).press("Enter")
        drawn = page.locator("#rollout-list .drawing").first
        assert await drawn.get_attribute("aria-label") == "a drawing of 4 x 4 cells"
        assert [await drawn.locator(f".{name}").count() for name in ("red", "blue", "yellow")] == [4, 3, 1]
        for chart in await page.locator(".plot").all():
            assert "step" in (await chart.get_attribute("aria-label") or "")
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        assert await page.evaluate("localStorage.getItem('swarmd-theme')") is None
        await page.locator("#theme").select_option("light")
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 246)"
        assert watched.wrong == []


async def test_an_observer_shows_the_swarm_and_a_token_opens_its_page(chromium, tmp_path) -> None:
    view = SwarmView(
        board=(
            Ranked(peer_id=IDS[1], groups=80, success=0.61, interval=(0.55, 0.67), claimed=0.99),
            Ranked(peer_id=IDS[2], groups=3, success=0.9),
        ),
        members_at=(0.0, 60.0, 120.0),
        members=(3, 5, 4),
        models={HOSTILE: 2, "embedded": 3},
        devices={"cpu": 5},
    )
    observer = FULL.model_copy(update={"swarm_view": view})
    async with served(lambda: observer, tmp_path / "a", token="a-long-enough-token") as url:
        watched = await opened(chromium, f"{url}?token=a-long-enough-token")
        assert watched.page.url == url, "the token has left the address bar"
        await watched.says("#board", "0.99")
        assert (await watched.text("#board tbody tr:first-child")).startswith("1")
        assert (await watched.text("#board tbody tr:nth-child(2)")).startswith("too few")
        await watched.says("#members", "4 members now, 5 at most")
        await watched.says("#members", SEEN)
        assert await watched.page.locator("#learning").is_hidden()
        assert watched.wrong == []


async def test_an_update_leaves_the_scroll_position_and_the_focus_where_they_are(
    chromium, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.5)
    now = {"first": FULL}
    async with served(lambda: now["first"], tmp_path / "a") as url:
        watched = await opened(chromium, url, viewport={"width": 390, "height": 844})
        page = watched.page
        await page.locator("#learning .as-table summary").first.click()
        await page.locator("#learning .as-table .scroll").first.focus()
        await page.evaluate(
            """() => {
                document.querySelector("#together .scroll").scrollLeft = 70;
                document.activeElement.scrollTop = 60;
                window.announced = 0;
                const observer = new MutationObserver(() => { window.announced += 1; });
                observer.observe(document.getElementById("link"), { childList: true, subtree: true });
            }"""
        )
        curve = FULL.learning.reward.model_copy(update={"mean": (0.99,) * 300, "high": (1.0,) * 300})
        now["first"] = FULL.model_copy(
            update={
                "hearing": FULL.hearing.model_copy(update={"peers": FULL.hearing.peers[:3]}),
                "groups": FULL.groups.model_copy(update={"own": 77_777}),
                "learning": FULL.learning.model_copy(update={"reward": curve}),
            }
        )
        await watched.says("#together", "77\u202f777 groups made")
        await watched.says("#learning .as-table td", "0.99")
        assert await page.evaluate("document.querySelector('#together .scroll').scrollLeft") == 70
        assert await page.evaluate("document.activeElement.closest('.as-table') !== null")
        assert await page.evaluate("document.activeElement.scrollTop") == 60
        assert await page.evaluate("window.announced") == 0, "nothing new for a screen reader to read out"
        assert await page.locator("#learning .readout").first.get_attribute("aria-live") == "off"
        await page.locator("#peers .peers tbody td").first.click()
        now["first"] = FULL.model_copy(update={"peers": FULL.peers[:1]})
        await watched.says("#peers", "1 here, 0 gone")
        assert await page.locator("#peers .peers tbody tr").count() == 1, "a click does not freeze the table"
        assert watched.wrong == []


async def test_a_list_that_was_opened_stays_open_when_something_appears_above_it(chromium, tmp_path) -> None:
    async with served(lambda: FULL, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        still = await watched.page.evaluate(
            """async () => {
                const { redraw } = await import("./page/redraw.js");
                const make = (name, ...inside) => {
                    const element = document.createElement(name);
                    element.append(...inside);
                    return element;
                };
                const list = (text) => make("details", make("summary", "All"), make("p", text));
                const box = make("div");
                document.body.append(box);
                redraw(box, make("div", list("1")));
                const opened = box.querySelector("details");
                opened.open = true;
                redraw(box, make("div", list("2")));
                const same = opened.isConnected && opened.open;
                redraw(box, make("div", make("p", "and more"), list("3")));
                return [same, box.querySelector("details").open, box.textContent];
            }"""
        )
        assert still == [True, True, "and moreAll3"]


async def test_on_an_observers_page_selected_text_stays_and_arrows_move_among_its_tabs(
    chromium, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.5)
    ranked = Ranked(peer_id=IDS[1], groups=80, success=0.61, interval=(0.55, 0.67))
    now = {"board": (ranked,)}

    def observer() -> StatusSnapshot:
        return FULL.model_copy(update={"swarm_view": SwarmView(**now, groups_scored=len(now["board"]))})

    async with served(observer, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        page = watched.page
        await watched.says("#board", "0.61")
        await page.evaluate("getSelection().selectAllChildren(document.querySelector('#board tbody'))")
        selected = await page.evaluate("getSelection().toString()")
        now["board"] = (ranked.model_copy(update={"success": 0.62}), ranked)
        await watched.says("#members .facts div:has-text('scored here') dd", "2")
        assert await page.evaluate("getSelection().toString()") == selected != ""
        assert await page.locator("#board tbody tr").count() == 1
        await page.evaluate("getSelection().removeAllRanges()")
        await watched.says("#board", "0.62")
        await page.locator("#tab-others").focus()
        for wanted in ("tab-refused", "tab-others", "tab-refused"):
            await page.keyboard.press("ArrowLeft")
            assert await page.evaluate("document.activeElement.id") == wanted
        assert watched.wrong == []


async def test_the_claims_of_one_peer_do_not_displace_those_that_taught_this_one(chromium, tmp_path) -> None:
    made_up = {KeyPair.from_seed(bytes([100 + n]) * 32).peer_id: 2**31 - 1 for n in range(32)}
    boasting = FULL.peers[12].model_copy(update={"used_claimed": made_up})
    state = FULL.model_copy(update={"peers": (*FULL.peers[:12], boasting)})
    async with served(lambda: state, tmp_path / "a") as url:
        watched = await opened(chromium, url)
        matrix = watched.page.locator("#together .matrix")
        await matrix.wait_for()
        teachers = await matrix.locator("thead th").all_inner_texts()
        assert teachers == ["this peer", *(name_of(peer_id) for peer_id in IDS[1:10])]
        cells = matrix.locator("tbody tr").first.locator("td")
        assert [await cell.get_attribute("class") for cell in (await cells.all())[:3]] == [
            "self", "level4", "level3"
        ]  # fmt: skip
        assert watched.wrong == []
