"""What browsers are served: the page, its streams and its records, to whom, and within which bounds."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest

from swarmd.errors import StorageError, SwarmdError
from swarmd.names import name_of
from swarmd.observe import (
    RecordView,
    Sources,
    Starting,
    StartingError,
    StatusServer,
    StatusSnapshot,
    ask_status,
)
from swarmd.observe.connections import LIVES_UNTIL
from swarmd.observe.stream import Streams
from tests.observe.full_peer import IDS
from tests.observe.serving import over, serving


async def test_the_page_and_its_files_load_nothing_from_elsewhere(snapshot, tmp_path) -> None:
    async with (
        serving(lambda: snapshot, tmp_path / "sock", "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.base_url or "") as client,
    ):
        page = await client.get("/")
        names = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
        files = [await client.get(f"/{name}") for name in names]
        assert (await client.get("/page/app.py")).status_code == 404
        assert (await client.get("/page/../app.py")).status_code == 404
    assert "page/app.js" in names
    for answer in (page, *files):
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "innerHTML" not in answer.text
    assert not any(name.startswith(("http", "/")) for name in names), "relative, for a path prefix"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:80", 200),
        ("localhost:1", 200),
        ("evil.example", 421),
        ("localhost.evil.example:80", 421),
        ("", 421),
    ],
)
async def test_a_name_that_a_web_page_rebound_is_refused(snapshot, tmp_path, host, code) -> None:
    async with (
        serving(lambda: snapshot, tmp_path / "sock", "0") as server,
        httpx.AsyncClient(base_url=server.base_url or "") as client,
    ):
        assert (await client.get("/status", headers={"host": host})).status_code == code


async def test_a_name_that_the_operator_gave_is_served_and_the_refusal_says_how(snapshot, tmp_path) -> None:
    server = StatusServer(lambda: snapshot, tmp_path / "sock", "0", http_hosts=("Trainer.local",))
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        async with httpx.AsyncClient(base_url=server.base_url or "") as client:
            given = await client.get("/status", headers={"host": "trainer.LOCAL:8080"})
            other = await client.get("/status", headers={"host": "evil.example"})
        server.stop()
    assert (given.status_code, other.status_code) == (200, 421)
    assert "--http-host NAME" in other.text
    assert "evil.example" not in other.text


async def test_only_get_is_answered(snapshot, tmp_path) -> None:
    async with serving(lambda: snapshot, tmp_path / "sock"), over(tmp_path / "sock") as client:
        assert (await client.post("/status")).status_code == 405
        assert (await client.get("/../etc/passwd")).status_code == 404


async def test_until_it_is_a_peer_every_page_says_what_it_is_doing(tmp_path) -> None:
    starting = Starting(phase="loading the model", uptime_s=12.3, peer_id="12D3KooWme", pid=7)
    said = "starting for 12 s: loading the model (pid 7)"
    async with serving(lambda: starting, tmp_path / "sock"), over(tmp_path / "sock") as client:
        status, health, metrics = [await client.get(f"/{page}") for page in ("status", "healthz", "metrics")]
        assert [answer.status_code for answer in (status, health, metrics)] == [503, 503, 503]
        assert status.json()["phase"] == "loading the model"
        assert health.json() == {"ok": False, "reasons": [said]}
        assert metrics.text == said + "\n"
        with pytest.raises(StartingError, match=re.escape(said)):
            await asyncio.to_thread(ask_status, tmp_path, tmp_path / "sock")


async def test_the_page_is_kept_up_to_date_by_a_bounded_number_of_streams(
    snapshot, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("swarmd.observe.stream.STREAMS_MAX", 1)
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.01)
    monkeypatch.setattr("swarmd.observe.stream.FRESH_S", 0.0)
    seen = iter([snapshot, snapshot.model_copy(update={"step": 13})])
    async with serving(lambda: next(seen, snapshot), tmp_path / "sock", "0") as server:
        url = server.base_url or ""
        async with httpx.AsyncClient(base_url=url) as client, client.stream("GET", "/stream") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            first = [await anext(lines) for _ in range(6)]
            assert first[0] == "event: state"
            assert json.loads(first[1].removeprefix("data: "))["status"]["step"] == 12
            assert json.loads(first[4].removeprefix("data: ")) == {"reset": True, "events": []}
            assert await anext(lines) == "event: state"
            assert json.loads((await anext(lines)).removeprefix("data: "))["status"]["step"] == 13
            assert (await client.get("/stream")).status_code == 503, "all places are taken"
            assert (await client.get("/state")).json()["status"]["step"] == 12
        async with httpx.AsyncClient(base_url=url) as client, client.stream("GET", "/stream") as again:
            assert again.status_code == 200, "a place is free again"


async def test_all_pages_share_one_state_a_second(snapshot) -> None:
    built = []
    streams = Streams(lambda: built.append(1) or snapshot, Sources())
    assert streams.state() == streams.state()
    assert len(built) == 1


async def test_a_database_that_cannot_be_read_is_503_with_the_message(tmp_path) -> None:
    def broken(*_arguments: object) -> StatusSnapshot:
        raise StorageError("database is locked")

    async with serving(broken, tmp_path / "sock"), over(tmp_path / "sock") as client:
        for page in ("/status", "/healthz", "/metrics", "/state"):
            answer = await client.get(page)
            assert (answer.status_code, answer.json()) == (503, {"error": "database is locked"})
        assert (await client.get("/stream")).text == ""
        with pytest.raises(SwarmdError, match="cannot tell its state: database is locked"):
            await asyncio.to_thread(ask_status, tmp_path, tmp_path / "sock")


async def test_a_stream_outlives_other_connections_and_does_not_delay_the_stop(
    snapshot, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("swarmd.observe.stream.PERIOD_S", 0.01)
    async with (
        serving(lambda: snapshot, tmp_path / "sock", "0") as server,
        httpx.AsyncClient(base_url=server.base_url or "") as client,
        client.stream("GET", "/stream") as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        for connection in server._servers[1].server_state.connections:
            connection._expire()  # as its timer does after LIFETIME_S
        for _ in range(20):
            await anext(lines)
        server.stop()
        rest = [line async for line in lines]  # ends: the server closed it in order
        assert len(rest) < 100


async def test_a_stream_ends_when_its_own_time_is_over(snapshot, tmp_path, monkeypatch) -> None:
    async with (
        serving(lambda: snapshot, tmp_path / "sock", "0") as server,
        httpx.AsyncClient(base_url=server.base_url or "") as client,
        client.stream("GET", "/stream") as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        for connection in server._servers[1].server_state.connections:
            connection.scope[LIVES_UNTIL] = 0.0
            connection._expire()
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in lines:
                pass


async def test_records_are_asked_for_by_kind_and_within_a_bound(snapshot, tmp_path) -> None:
    asked: list[tuple[str, int]] = []

    async def records(kind: str, limit: int) -> list[RecordView]:
        asked.append((kind, limit))
        return [RecordView(digest="ab", at=1.0, publisher=IDS[1], fate="it is too old")]

    server = StatusServer(lambda: snapshot, tmp_path / "sock", sources=Sources(records=records))
    server.bind()
    async with asyncio.TaskGroup() as group, over(tmp_path / "sock") as client:
        group.create_task(server.serve())
        await server.started.wait()
        found = (await client.get("/records?kind=others&limit=7")).json()
        assert found["names"] == {IDS[1]: name_of(IDS[1])}
        assert found["records"][0]["fate"] == "it is too old"
        for wrong in (
            "kind=all",
            "limit=0",
            "limit=51",
            "limit=x",
            "limit=00501",
            "limit=1e9",
        ):
            assert (await client.get(f"/records?{wrong}")).status_code == 400
        server.stop()
    assert asked == [("others", 7)]
