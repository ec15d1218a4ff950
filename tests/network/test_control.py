"""Our end of the connection to p2pd: how it ends, and what is reported of hivemind's leftovers."""

from __future__ import annotations

import asyncio
import socket

from hivemind.proto import p2pd_pb2

from swarmd.network.control import Control


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
