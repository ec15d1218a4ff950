"""Status requests that are cut off, or find nobody, keep nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarmd.observe import NoDaemonError, Starting, StatusServer, ask_status
from tests.held import assert_nothing_is_kept

STARTING = Starting(phase="loading", uptime_s=1, peer_id="x", pid=1)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /status HTTP/1.1\r\nho", b"GET /status HTTP/1.1\r\nhost: x\r\n\r\n"]
)
async def test_a_request_that_is_cut_off_keeps_nothing(tmp_path: Path, sent: bytes) -> None:
    server = StatusServer(lambda: STARTING, tmp_path / "sock")
    server.bind()

    async def cut_off() -> None:
        _, writer = await asyncio.open_unix_connection(tmp_path / "sock")
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        await server.started.wait()
        await assert_nothing_is_kept(cut_off, tmp_path)
        server.stop()
        await serving
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  an empty directory


async def test_a_request_to_nobody_keeps_nothing(tmp_path: Path) -> None:
    async def ask() -> None:
        with pytest.raises(NoDaemonError):
            ask_status(tmp_path, tmp_path / "sock")

    await assert_nothing_is_kept(ask, tmp_path)


async def test_a_socket_that_cannot_be_removed_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a home that has become read-only."""
    server = StatusServer(lambda: STARTING, tmp_path / "sock")
    server.bind()

    def read_only(_path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    server.close()
