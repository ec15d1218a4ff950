"""What the daemon says while it starts, and what it does when one of its parts fails for good."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocol import KeyPair
from swarmd import exit_codes
from swarmd.config import Config, ObserveConfig
from swarmd.daemon import runtime
from swarmd.daemon.runtime import _Daemon, _one_of
from swarmd.daemon.wiring import Peer
from swarmd.errors import ConfigError, StorageError, is_disk_full
from swarmd.network.interface import NetworkClosedError
from swarmd.observe import EventLog, Health, StartingError, ask_status
from swarmd.parent.lifeline import Lifeline, Word
from swarmd.storage import Database, Home
from swarmd.storage.durable import disk_error
from swarmd.tasks import load_manifest
from tests.daemon.fakes import Events

LOST = NetworkClosedError("the p2p process could not be brought back: start again")


class Steps:
    """Takes steps until stopped, and then writes its checkpoint."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self.checkpointed = False

    def stop(self) -> None:
        self._stop.set()

    async def run(self, first: int | None = None) -> None:
        assert first is None, "no life before"
        await self._stop.wait()
        await asyncio.sleep(0)
        self.checkpointed = True


class LostExchange:
    """As an exchange whose network closes under it."""

    def handle(self, event: object) -> None:
        pass

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail())

    async def _fail(self) -> None:
        await asyncio.sleep(0.01)
        raise LOST


async def test_a_network_lost_for_good_ends_the_daemon_after_its_checkpoint(
    tmp_path: Path, database: Database
):
    events, steps = Events(), Steps()
    daemon = _Daemon(Config(home=tmp_path), Home.open(tmp_path), events)
    reporter: Any = SimpleNamespace(
        own_status=lambda: None,
        reach=lambda: SimpleNamespace(state="unknown"),
        problems=lambda: (),
        health=lambda: Health(ok=True),
        manifest=load_manifest("starter"),
        tasks=None,
        database=database,
    )
    parts: Any = (LostExchange(), steps, reporter, None, None)
    with pytest.raises(BaseExceptionGroup) as raised:
        await daemon._run(Peer(*parts))
    assert steps.checkpointed
    assert _one_of(raised.value) is LOST
    assert "start again" in events.named("stopping")[0]["message"]


def test_what_an_error_came_of_is_still_known_when_it_ends_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def fail(_: _Daemon) -> None:
        async with asyncio.TaskGroup():
            error = OSError(errno.ENOSPC, "no space")
            raise disk_error("save", error) from error

    monkeypatch.setattr(_Daemon, "live", fail)
    with pytest.raises(StorageError, match="cannot save") as raised:
        runtime.run(Config(home=tmp_path), Home.open(tmp_path))
    assert is_disk_full(raised.value)


async def test_each_problem_is_told_when_it_begins_though_another_ends_with_it_and_its_numbers_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = [
        ("clocks differ by 9 s: set the clock",),
        ("clocks differ by 12 s: set the clock",),
        ("no contact with other peers: 3 peers",),
        (),
        ("no contact with other peers: 2 peers", "clocks differ by 9 s: set the clock"),
    ]
    events, over, problems = Events(), asyncio.Event(), iter(seen)

    def next_problems() -> tuple[str, ...]:
        found = next(problems, None)
        if found is None:
            over.set()
        return found or ()

    monkeypatch.setattr(runtime, "OWN_STATUS_EVERY_S", 0.0)
    reporter: Any = SimpleNamespace(
        own_status=lambda: None,
        reach=lambda: SimpleNamespace(state="unknown"),
        problems=next_problems,
        health=lambda: Health(ok=True),
    )
    parts: Any = (LostExchange(), Steps(), reporter, None, None)
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(
            _Daemon(Config(home=tmp_path), Home.open(tmp_path), events)._keep_telling(Peer(*parts))
        )
        await over.wait()
        telling.cancel()
    told = [event["message"] for event in events.named("warning")]
    assert told[:2] == [seen[0][0], seen[2][0]]
    assert sorted(told[2:]) == sorted(seen[4])


class LoadingForGood:
    """An assembly whose model is large."""

    loading = asyncio.Event()

    def __init__(self, config: Config, home: Home, key: KeyPair, events: EventLog, *_: object) -> None:
        self._events = events

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        self._events.emit("phase", name="loading the model")
        self.loading.set()
        await asyncio.Event().wait()
        yield Peer(None, None, None, None, None)


async def test_a_daemon_that_is_still_loading_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "_import_assembly", lambda: LoadingForGood)
    monkeypatch.setattr(LoadingForGood, "loading", asyncio.Event())
    home, out = Home.open(tmp_path), io.StringIO()
    events = EventLog(ObserveConfig(log_format="json"), clock=time.time, stdout=out)
    daemon = _Daemon(Config(home=tmp_path), home, events)
    async with asyncio.TaskGroup() as group:
        living = group.create_task(daemon.live())
        await daemon._server.started.wait()
        await LoadingForGood.loading.wait()
        with pytest.raises(StartingError, match=r"is starting for \d+ s: loading the model \(pid \d+\)"):
            await asyncio.to_thread(ask_status, tmp_path, home.socket_path)
        daemon._on_signal(living)
    assert living.cancelled()
    assert "before the first step" in out.getvalue()
    assert not home.socket_path.exists()


async def test_only_the_parent_ends_its_peer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shutdown signals both of them, and the parent forwards its own signal."""
    codes = list[int]()
    ended = asyncio.Event()
    monkeypatch.setattr(os, "_exit", lambda code: (codes.append(code), ended.set()))
    monkeypatch.setattr(runtime, "_import_assembly", lambda: LoadingForGood)
    monkeypatch.setattr(LoadingForGood, "loading", asyncio.Event())
    parents_end, peers_end = socket.socketpair()
    with parents_end:
        lifeline = Lifeline(Word(peers_end.detach(), deaths=0, first_step=None))
        daemon = _Daemon(Config(home=tmp_path), Home.open(tmp_path), Events(), lifeline=lifeline)
        async with asyncio.TaskGroup() as group:
            living = group.create_task(daemon.live())
            await LoadingForGood.loading.wait()
            daemon._on_signal(living)
            daemon._on_signal(living)
        assert codes == []
        parents_end.shutdown(socket.SHUT_WR)
        await ended.wait()
    assert set(codes) == {exit_codes.FORCED}


async def test_a_status_port_in_use_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runtime, "_import_assembly", lambda: pytest.fail("it was not told first"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config(home=tmp_path, observe=ObserveConfig(http=f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ConfigError, match="is in use"):
            await _Daemon(config, Home.open(tmp_path), Events()).live()


async def test_a_new_token_is_told_on_standard_error_once_and_is_in_no_event(tmp_path: Path, capsys) -> None:
    log = io.StringIO()
    config = Config(home=tmp_path, observe=ObserveConfig(http="0.0.0.0:0", log_format="json"))
    home = Home.open(tmp_path)
    for times in (1, 0):
        events = EventLog(config.observe, clock=time.time, stdout=log)
        daemon = _Daemon(config, home, events)
        daemon._server.bind()
        daemon._tell_page()
        daemon._server.close()
        token = (tmp_path / "http-token").read_text().strip()
        assert capsys.readouterr().err.count(f"/?token={token}\n") == times
        assert token not in repr(events.recent) + log.getvalue()
        assert [event.name for event in events.recent] == ["page"]
