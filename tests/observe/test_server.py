"""StatusServer on real sockets, inside the test's own loop as it is inside the daemon's."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe import (
    Health,
    IgnoredPeer,
    Judgement,
    NoDaemonError,
    StatusServer,
    ask_status,
)
from swarmd.observe.app import ORDER_BYTES_MAX
from swarmd.observe.connections import BriefConnection
from swarmd.observe.metrics import exposition
from swarmd.observe.play import AnswersView, QuestionView, SentView, VerdictView
from swarmd.observe.sources import RecordKind, RecordView, Sources
from tests.observe.serving import over, serving


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


async def test_the_settings_of_a_home_whose_path_is_not_utf_8_are_served(snapshot, tmp_path) -> None:
    sources = Sources(settings=lambda: {"settings": {"home": "/home/h\udce9"}})
    async with (
        serving(lambda: snapshot, tmp_path / "sock", sources=sources),
        over(tmp_path / "sock") as client,
    ):
        answer = await client.get("/settings")
    assert json.loads(answer.content) == {"settings": {"home": "/home/h\udce9"}}


async def test_metrics_are_prometheus_text_without_text_from_peers(snapshot, tmp_path) -> None:
    async with serving(lambda: snapshot, tmp_path / "sock"), over(tmp_path / "sock") as client:
        text = (await client.get("/metrics")).text
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["swarmd_step", ()] == 12
    assert samples["swarmd_groups_total", ("external_used",)] == 20
    assert samples["swarmd_rejected_total", ("signature",)] == 2
    assert samples["swarmd_reward_mean_20", ()] == 0.2
    assert samples["swarmd_held_out_success_ratio", ("now",)] == 0.43
    assert samples["swarmd_held_out_step", ()] == 10
    assert samples["swarmd_peers", ()] == 1
    assert 0.99 not in samples.values(), "what others claim of themselves is not measured here"
    assert "onerror" not in text


def test_peers_that_are_gone_are_not_counted_by_standing(snapshot) -> None:
    [peer] = snapshot.peers
    gone = snapshot.model_copy(update={"peers": (peer.model_copy(update={"gone": True}), peer)})
    text, _ = exposition(gone, "")
    assert 'swarmd_peers_by_standing{standing="stranger"} 1.0' in text.decode()


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


class Expiring:
    """A peer whose slow answers take longer than the life of a connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[BriefConnection] = []
        made = BriefConnection.connection_made

        def connection_made(connection: BriefConnection, transport: asyncio.Transport) -> None:
            made(connection, transport)
            self.opened.append(connection)

        monkeypatch.setattr(BriefConnection, "connection_made", connection_made)

    def let_the_life_end(self) -> None:
        for connection in self.opened:
            connection._expire()

    async def ping(self, _peer: str) -> float:
        self.let_the_life_end()
        return 0.5

    async def records(self, _kind: RecordKind, _limit: int) -> Sequence[RecordView]:
        self.let_the_life_end()
        return ()

    async def ask(self, _without: Sequence[str]) -> QuestionView:
        self.let_the_life_end()
        raise ConfigError("no question left")

    async def judge(self, _question: str, _turns: Sequence[str]) -> VerdictView:
        self.let_the_life_end()
        return VerdictView(reward=1.0, right=True, plain=True)

    async def finish(self, _question: str, _attempts: object, _name: str | None) -> SentView:
        self.let_the_life_end()
        return SentView(state="published", message="published", digest="")

    def answers(self) -> AnswersView:
        return AnswersView(answers=())


@pytest.mark.parametrize(
    ("method", "url", "body", "code"),
    [
        ("POST", "/ping", {"peers": ["a"]}, 200),
        ("GET", "/records", None, 200),
        ("POST", "/play/question", {}, 400),
        ("POST", "/play/attempt", {"question": "ab", "turns": ["6"]}, 200),
        ("POST", "/play/finish", {"question": "ab", "attempts": [["6"]]}, 200),
    ],
)
async def test_a_slow_answer_outlives_the_life_of_a_connection(
    snapshot, tmp_path, monkeypatch, method: str, url: str, body: object, code: int
) -> None:
    slow, path = Expiring(monkeypatch), tmp_path / "sock"
    sources = Sources(records=slow.records)
    async with (
        serving(lambda: snapshot, path, ping=slow.ping, sources=sources, play=slow),
        over(path) as client,
    ):
        assert (await client.request(method, url, json=body)).status_code == code


@pytest.mark.parametrize("url", ["/ping", "/play/finish", "/peers/ban"])
async def test_a_slow_sender_gains_no_time(snapshot, tmp_path, monkeypatch, url: str) -> None:
    slow, path = Expiring(monkeypatch), tmp_path / "sock"
    head = f"POST {url} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    async with serving(lambda: snapshot, path, ping=slow.ping, play=slow, carry_out=lambda *_: None):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(f"{head}expect: 100-continue\r\ncontent-length: 99\r\n\r\n".encode())
        assert b"100" in await reader.readuntil(b"\r\n\r\n")  # now the application reads the body
        slow.let_the_life_end()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


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
