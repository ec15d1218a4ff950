"""A bad network in user space: a TCP relay that can be slow, lose, be cut and heal.

A connection that a cut went through stays silent for good, also after the heal, and neither end is told: so
does TCP that has backed off. Only connections made after the heal carry anything.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import closing, suppress

CHUNK_BYTES = 65_536
RETRANSMIT_S = 0.3
"""What a lost packet costs where TCP sends it again: about its shortest time-out."""


class Relay:
    """Listens on loopback and passes on to one port there. Use as an async context manager."""

    def __init__(
        self, target_port: int, *, port: int = 0, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0
    ) -> None:
        """`delay_s`: seconds that each chunk takes, one way; `loss`: how probably it takes RETRANSMIT_S more.
        `port`: 0 for any free one."""
        self.target_port = target_port
        self.port = port
        self.delay_s = delay_s
        self.loss = loss
        self._rng = random.Random(seed)
        self._cuts = 0
        self._is_cut = False
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._on_link, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._cuts += 1
        self._is_cut = True

    def heal(self) -> None:
        """New connections work again."""
        self._is_cut = False

    async def _on_link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        with closing(writer), suppress(asyncio.CancelledError):  # the relay ends it, and nobody else
            cuts = self._cuts
            if self._is_cut:
                await _forever()
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
            except OSError:
                return
            with closing(back):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, back, cuts))
                    group.create_task(self._pump(there, writer, cuts))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: int) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                lost = self._rng.random() < self.loss
                if seconds := self.delay_s + RETRANSMIT_S * lost:
                    await asyncio.sleep(seconds)
                if cuts != self._cuts:
                    await _forever()
                writer.write(data)
                await writer.drain()
            if cuts != self._cuts:
                await _forever()
        except OSError:
            if cuts != self._cuts:
                await _forever()
        writer.close()


async def _forever() -> None:
    await asyncio.Event().wait()
