"""A StatusServer that runs, and a client of its unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from swarmd.observe import (
    StatusServer,
    StatusSnapshot,
)
from swarmd.observe.app import CarryOut


@asynccontextmanager
async def serving(
    snapshot: Callable[[], StatusSnapshot],
    path: Path,
    http: str | None = None,
    carry_out: CarryOut | None = None,
    **named: Any,
) -> AsyncIterator[StatusServer]:
    server = StatusServer(snapshot, path, http, carry_out, **named)
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        yield server
        server.stop()


def over(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://swarmd")
