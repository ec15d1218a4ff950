"""A peer that follows no rules: one p2pd (one connection to each target), raw messages, raw streams.

It speaks to p2pd through hivemind and shares no code with `swarmd.network`, so that what is mended there is
not mended here. It signs with as many keys as it likes (`forging.py`). It answers what a polite peer would
until an attack puts another answer in its place. Every loop of an attack is `paced`: bounded in time, in
rate and in all.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hivemind.p2p import P2P, P2PDaemonError, P2PHandlerError, PeerID
from hivemind.proto import dht_pb2
from hivemind.utils.logging import use_hivemind_log_handler
from hivemind.utils.multiaddr import Multiaddr

from protocol import KeyPair

SERVICE = "SwarmDHT"
"""Class name under which daemons register their DHT messages."""

PING, STORE, FIND = (f"{SERVICE}.rpc_{name}" for name in ("ping", "store", "find"))

CALL_S = 5.0
"""For one message to a target; what takes longer counts as failed."""

STARTED_S = 60.0
"""For a p2pd to start; it takes a second on a quiet machine."""

ATTACKER_HOST = "127.66.0.1"
"""All of 127.0.0.0/8 is loopback; p2pd dials from the address that it listens on, so targets see another
address than that of their honest peers on 127.0.0.1."""

CALL_ERRORS = (P2PDaemonError, P2PHandlerError, OSError, EOFError, TimeoutError)
"""What a message or a stream may end with when the target refuses, is slow or hangs up."""

Answer = Callable[[bytes, PeerID], Awaitable[bytes]]
Handler = Callable[[Any, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Target:
    """An honest daemon, as an attacker sees it."""

    address: str
    """Multiaddr with /p2p/ at the end."""

    @property
    def peer_id(self) -> str:
        return self.address.rpartition("/p2p/")[2]

    @property
    def peer(self) -> PeerID:
        return PeerID.from_base58(self.peer_id)

    @property
    def transport(self) -> Multiaddr:
        return Multiaddr(self.address.rpartition("/p2p/")[0])


def node_id(peer: PeerID) -> bytes:
    """The place in the DHT that belongs to a peer id."""
    return hashlib.sha1(peer.to_bytes(), usedforsecurity=False).digest()


class Attacker:
    """Use `start`, and `close` at the end."""

    def __init__(self, key: KeyPair, p2p: P2P) -> None:
        self.key = key
        self._p2p = p2p
        self.asked = 0
        """Messages that targets sent to this peer."""

    @classmethod
    async def start(cls, key: KeyPair, directory: Path, host: str = ATTACKER_HOST) -> Attacker:
        """A p2pd with `key` that listens on a free port of `host`, and answers politely."""
        use_hivemind_log_handler("nowhere")
        identity = directory / f"{key.peer_id}.key"
        identity.write_bytes(key.to_libp2p())
        p2p = await P2P.create(
            host_maddrs=[f"/ip4/{host}/tcp/0"],
            identity_path=str(identity),
            check_if_identity_free=False,
            nat_port_map=False,
            auto_nat=False,
            use_relay=False,
            startup_timeout=STARTED_S,
        )
        self = cls(key, p2p)
        await self.answer(PING, self.polite_ping)
        await self.answer(STORE, self.polite_store)
        await self.answer(FIND, self.polite_find)
        return self

    async def close(self) -> None:
        await self._p2p.shutdown()

    # Being there -----------------------------------------------------------------------------------

    async def addresses(self) -> list[str]:
        """Where it can be dialled, with /p2p/ at the end."""
        _, found = await self._p2p._client.identify()
        return [f"{address}/p2p/{self.key.peer_id}" for address in found]

    async def dial(self, target: Target) -> bool:
        """Whether the target takes a connection."""
        try:
            async with asyncio.timeout(CALL_S):
                await self._p2p._client.connect(target.peer, [target.transport])
        except CALL_ERRORS:
            return False
        return True

    async def hang_up(self, target: Target) -> None:
        with suppress(*CALL_ERRORS):
            await self._p2p._client.control.disconnect(target.peer)

    async def enter(self, target: Target) -> bool:
        """Connect, and ask for a place in the target's routing table. False: it did not answer."""
        if not await self.dial(target):
            return False
        request = dht_pb2.PingRequest(peer=self.node_info)
        return await self.call(target, PING, request.SerializeToString()) is not None

    # Asking ----------------------------------------------------------------------------------------

    async def call(self, target: Target, name: str, message: bytes, seconds: float = CALL_S) -> bytes | None:
        """The raw answer to a raw message, or None when there was none."""
        try:
            async with asyncio.timeout(seconds):
                answer: bytes | None = await self._p2p._client.call_unary_handler(target.peer, name, message)
        except CALL_ERRORS:
            return None
        return answer

    async def stream(
        self, target: Target, protocol_id: str, seconds: float = CALL_S
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """An open stream to the target's handler, or None when it was refused."""
        try:
            async with asyncio.timeout(seconds):
                _, reader, writer = await self._p2p.call_binary_stream_handler(target.peer, protocol_id)
        except CALL_ERRORS:
            return None
        return reader, writer

    # Answering -------------------------------------------------------------------------------------

    async def answer(self, name: str, how: Answer) -> None:
        """Answer messages of that name like this from now on."""

        async def counted(data: bytes, sender: PeerID) -> bytes:
            self.asked += 1
            return await how(data, sender)

        handlers = self._p2p._client.control.unary_handlers
        if name in handlers:
            handlers[name] = counted
        else:
            await self._p2p._client.add_unary_handler(name, counted)

    async def serve(self, protocol_id: str, handler: Handler) -> None:
        """Serve streams of that protocol."""
        await self._p2p.add_binary_stream_handler(protocol_id, handler)

    @property
    def node_info(self) -> dht_pb2.NodeInfo:
        return dht_pb2.NodeInfo(node_id=node_id(self._p2p.peer_id))

    async def polite_ping(self, _data: bytes, _sender: PeerID) -> bytes:
        answer = dht_pb2.PingResponse(peer=self.node_info, dht_time=time.time(), available=True)
        return bytes(answer.SerializeToString())

    async def polite_store(self, data: bytes, _sender: PeerID) -> bytes:
        """Says that it holds everything, and holds nothing."""
        count = len(dht_pb2.StoreRequest.FromString(data).keys)
        answer = dht_pb2.StoreResponse(store_ok=[True] * count, peer=self.node_info)
        return bytes(answer.SerializeToString())

    async def polite_find(self, data: bytes, _sender: PeerID) -> bytes:
        """Knows no value and nobody."""
        count = len(dht_pb2.FindRequest.FromString(data).keys)
        nothing = [dht_pb2.FindResult(type=dht_pb2.NOT_FOUND) for _ in range(count)]
        return bytes(dht_pb2.FindResponse(results=nothing, peer=self.node_info).SerializeToString())


async def paced(per_second: float, until: float, most: int) -> AsyncIterator[int]:
    """0, 1, 2, ... at no more than that rate, until the monotonic time `until` or `most` of them."""
    began = time.monotonic()
    for number in range(most):
        wait = began + number / per_second - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if time.monotonic() >= until:
            return
        yield number
