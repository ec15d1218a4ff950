"""StatusServer on real sockets, inside the test's own loop as it is inside the daemon's."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarmd.errors import ConfigError, StorageError, SwarmdError
from swarmd.names import name_of
from swarmd.observe import (
    Health,
    IgnoredPeer,
    Judgement,
    NoDaemonError,
    RecordView,
    Sources,
    Starting,
    StartingError,
    StatusServer,
    StatusSnapshot,
    ask_status,
)
from swarmd.observe.app import ORDER_BYTES_MAX, CarryOut
from swarmd.observe.connections import LIVES_UNTIL
from swarmd.observe.stream import Streams
from tests.observe.full_peer import IDS


@asynccontextmanager
async def serving(
    snapshot: Callable[[], StatusSnapshot],
    path: Path,
    http: str | None = None,
    carry_out: CarryOut | None = None,
) -> AsyncIterator[StatusServer]:
    server = StatusServer(snapshot, path, http, carry_out)
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        yield server
        server.stop()


def over(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://swarmd")


async def test_status_over_the_unix_socket_is_the_snapshot(snapshot, tmp_path) -> None:
    path = tmp_path / "sock"
    async with serving(lambda: snapshot, path):
        assert await asyncio.to_thread(ask_status, tmp_path, path) == snapshot


async def test_the_socket_is_private_and_gone_after_stop(snapshot, tmp_path) -> None:
    path = tmp_path / "sock"
    async with serving(lambda: snapshot, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_stale_socket_of_a_killed_daemon_is_replaced(snapshot, tmp_path) -> None:
    path = tmp_path / "sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with serving(lambda: snapshot, path), over(path) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_signal_handlers_remain_the_daemons(snapshot, tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serving(lambda: snapshot, tmp_path / "sock"):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_healthz_is_503_with_the_reasons_when_unhealthy(snapshot, tmp_path) -> None:
    sick = snapshot.model_copy(update={"health": Health(ok=False, reasons=("no step for 10 min",))})
    async with serving(lambda: sick, tmp_path / "sock"), over(tmp_path / "sock") as client:
        answer = await client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "reasons": ["no step for 10 min"]}


async def test_metrics_are_prometheus_text_without_text_from_peers(snapshot, tmp_path) -> None:
    async with serving(lambda: snapshot, tmp_path / "sock"), over(tmp_path / "sock") as client:
        text = (await client.get("/metrics")).text
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["swarmd_steps_total", ()] == 12
    assert samples["swarmd_groups_total", ("external_used",)] == 20
    assert samples["swarmd_rejected_total", ("signature",)] == 2
    assert samples["swarmd_reward_mean_20", ()] == 0.2
    assert samples["swarmd_held_out_success_ratio", ("now",)] == 0.43
    assert samples["swarmd_held_out_step", ()] == 10
    assert samples["swarmd_peers", ()] == 1
    assert 0.99 not in samples.values(), "what others claim of themselves is not measured here"
    assert "onerror" not in text


async def test_metrics_show_how_others_are_judged(snapshot, tmp_path) -> None:
    judged = snapshot.model_copy(
        update={
            "judgement": Judgement(
                ignored=(IgnoredPeer(peer_id="12D3KooWo", reason="absent", seconds_left=9.0),),
                trusted=("12D3KooWa", "12D3KooWb"),
                points_lost={"absent": 4},
                misbehaved={"flood": 3},
                refused={"streams": 5},
                junk={"signature": 6},
            )
        }
    )
    async with serving(lambda: judged, tmp_path / "sock"), over(tmp_path / "sock") as client:
        text = (await client.get("/metrics")).text
    for line in (
        "swarmd_ignored_peers 1.0",
        "swarmd_trusted_peers 2.0",
        'swarmd_peers_by_standing{standing="stranger"} 1.0',
        'swarmd_points_lost_total{reason="absent"} 4.0',
        'swarmd_misbehaved_total{what="flood"} 3.0',
        'swarmd_refused_total{what="streams"} 5.0',
        'swarmd_junk_total{reason="signature"} 6.0',
    ):
        assert line in text.splitlines()


async def test_peers_are_judged_over_the_unix_socket_and_never_over_http(snapshot, tmp_path) -> None:
    orders: list[tuple[str, tuple[str, ...]]] = []

    def carry_out(order: str, peers: Sequence[str]) -> str | None:
        orders.append((order, tuple(peers)))
        return None if order == "ban" else "no such order"

    path = tmp_path / "sock"
    async with (
        serving(lambda: snapshot, path, "127.0.0.1:0", carry_out) as server,
        over(path) as own,
        httpx.AsyncClient(base_url=server.base_url or "") as browser,
    ):
        body = {"peers": ["a", "b"]}
        for url in ("/peers/ban", "/peers/trust", "/status", "/"):
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                assert (await browser.request(method, url, json=body)).status_code in (404, 405)
        assert orders == []
        assert (await own.post("/peers/ban", json=body)).status_code == 200
        assert orders == [("ban", ("a", "b"))]
        refused = await own.post("/peers/praise", json=body)
        assert (refused.status_code, refused.json()) == (400, {"error": "no such order"})
        for wrong in (b"", b"[]", b'{"peers": "a"}', b"x" * (ORDER_BYTES_MAX + 1)):
            assert (await own.post("/peers/ban", content=wrong)).status_code == 400
        assert (await own.get("/peers/ban")).status_code == 405
        assert len(orders) == 2


@pytest.mark.parametrize("sent", [b"", b"GET /status HT", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "])
async def test_connections_without_a_whole_request_make_room_for_others(
    snapshot, tmp_path, sent: bytes
) -> None:
    async with (
        serving(lambda: snapshot, tmp_path / "sock", "127.0.0.1:0") as server,
        httpx.AsyncClient(base_url=server.base_url or "") as client,
    ):
        url = httpx.URL(server.base_url or "")
        held = [await asyncio.open_connection(url.host, url.port) for _ in range(80)]
        for _, writer in held:
            writer.write(sent)
            await writer.drain()
        for _ in range(3):
            assert (await client.get("/healthz")).status_code == 200
        for _, writer in held:
            writer.close()


async def test_no_connection_is_held_open_for_long(snapshot, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.observe.connections.LIFETIME_S", 0.1)
    async with serving(lambda: snapshot, tmp_path / "sock"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "sock")
        writer.write(b"GET /status HTTP/1.1\r\n")
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


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


def test_an_http_port_in_use_is_named_and_the_socket_not_left_behind(snapshot, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = StatusServer(lambda: snapshot, tmp_path / "sock", f"127.0.0.1:{port}")
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port}: port {port} is in use: choose"):
            server.bind()
    assert not (tmp_path / "sock").exists()


def test_a_socket_that_cannot_be_made_is_named(snapshot, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cannot create the status socket .*No such file or directory"):
        StatusServer(lambda: snapshot, tmp_path / "absent" / "sock").bind()


def test_no_daemon_is_told_apart_from_a_silent_one(tmp_path) -> None:
    path = tmp_path / "sock"
    with pytest.raises(NoDaemonError, match=r"no daemon is running in .*start one with `swarmd join`"):
        ask_status(tmp_path, path)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        with pytest.raises(NoDaemonError):  # bound but not listening: what a killed daemon leaves
            ask_status(tmp_path, path)
        mute.listen(1)
        with pytest.raises(SwarmdError, match=r"does not answer within 0\.05 s"):
            ask_status(tmp_path, path, timeout_s=0.05)


async def test_cancellation_frees_the_sockets(snapshot, tmp_path) -> None:
    server = StatusServer(lambda: snapshot, tmp_path / "sock", "0")
    server.bind()
    port = int((server.base_url or "").rpartition(":")[2])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve())
        await server.started.wait()
        task.cancel()
    with socket.create_server(("127.0.0.1", port)):
        assert not (tmp_path / "sock").exists()


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
