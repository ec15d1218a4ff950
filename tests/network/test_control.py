"""Our end of the connection to p2pd: how it ends, and what is reported of hivemind's leftovers."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

from hivemind.proto import p2pd_pb2

from swarmd.network.control import Control
from swarmd.network.p2pd import quieten_hivemind


async def test_writing_to_a_p2pd_that_is_gone_ends_and_raises_nothing() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    _, writer = await asyncio.open_connection(sock=ours)
    writer.close()
    control = object.__new__(Control)  # `Control.create` wants a p2pd
    control._read_task = control._write_task = asyncio.get_running_loop().create_task(asyncio.sleep(0))
    control._pending_messages = asyncio.Queue()
    control._pending_messages.put_nowait(p2pd_pb2.PersistentConnectionRequest(callId=bytes(16)))
    async with asyncio.timeout(10):
        await control._write_to_persistent_conn(writer)


async def test_cancelled_searches_are_not_reported_and_other_lost_tasks_are() -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    quieten_hivemind()
    handler: Any = loop.get_exception_handler()
    loop.default_exception_handler = lambda context: told.append(context["message"])  # type: ignore[method-assign]
    loop.set_exception_handler(handler)

    async def lost() -> None:
        await loop.create_future()

    tasks = [loop.create_task(asyncio.Event().wait()), loop.create_task(lost())]
    await asyncio.sleep(0)
    del tasks
    gc.collect()
    assert told == ["Task was destroyed but it is pending!"]
