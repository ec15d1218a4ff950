"""The client side of the connection to p2pd: bounds incoming data, parses it strictly, and answers requests.

It replaces hivemind's client, which

- starts a task for every request and parses the request before checking who sent it. Here the `Gate` decides
  first, handlers are plain functions, and a refusal costs a few microseconds;
- ends the task that reads all answers if an answer arrives just as its caller gives up;
- leaks a socket if a stream cannot be opened. Here every socket is closed;
- decodes peer ids, addresses and error texts of any length and form, in tasks that nobody awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

import structlog
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with hivemind
from hivemind.p2p import P2PDaemonError, P2PHandlerError
from hivemind.p2p.p2p_daemon_bindings.control import ControlClient, DaemonConnector
from hivemind.proto import p2pd_pb2

from swarmd.network.delimited import Splitter, delimited, read_delimited
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.streams import BusyError, refuse

log = structlog.get_logger(__name__)

MESSAGE_BYTES_MAX = 2 * 2**20
"""Bytes of one message between p2pd and this process; p2pd is started with this limit. A full find answer or
store request takes half of it.
"""

ANSWER_BYTES_MAX = 2**20
"""Bytes of p2pd's answers about itself. A thousand connections with their addresses take 100 KB."""

STREAM_BYTES_MAX = 4_096
"""Bytes of p2pd's header for a stream that a peer opened: a peer id, an address and a protocol id."""

CHUNK_BYTES = 2**18
"""Bytes read from p2pd's connection at a time."""

REFUSED_PAUSE_S = 0.02
"""Seconds to wait after a refused request before the next read: 50 wake-ups per second, and too short for an
honest peer to notice.
"""

STREAM_SECONDS = 2.0
"""Seconds for p2pd to send a stream's header. It sends the header in the same write."""

STREAMS_WAITING_MAX = 1_024
"""Streams that p2pd can have opened to this process while the event loop is busy. p2pd ends any beyond that.
Python's default of 100 is less than a second of a flood.
"""

ERROR_CHARS_MAX = 200
"""Characters kept of an error text from p2pd or a peer, because it ends up in a log."""

P2PD_ERRORS = (P2PDaemonError, P2PHandlerError, OSError, EOFError)
"""Exceptions raised when p2pd refuses, cannot be reached or exits. Time-outs are separate."""

BUSY = b"busy"
"""The error of a peer that may answer if asked again later."""

Handler = Callable[[bytes, bytes], bytes]
"""(request, sender's peer id) -> answer. Called on the event loop: be quick. Raises MessageError, BusyError.
"""


class Gate(Protocol):
    """Decides who is answered, before anything is decoded: be very quick. `peer`: a binary peer id."""

    def admits_request(self, peer: bytes, protocol: str, size: int) -> bool: ...

    def admits_stream(self, peer: bytes, address: bytes) -> bool:
        """`address`: the binary multiaddr of the other end."""
        ...

    def answered(self, peer: bytes, protocol: str, size: int) -> None:
        """Called with the size of an answer."""
        ...

    def noted(self, peer: bytes, error: MessageError) -> None:
        """Called for a request that no honest peer sends."""
        ...


@dataclass(frozen=True, slots=True)
class IncomingStream:
    """A stream that a peer opened."""

    peer: bytes
    address: bytes
    """The binary multiaddr of the other end."""


StreamHandler = Callable[[IncomingStream, asyncio.StreamReader, asyncio.StreamWriter], Any]


class Connector(DaemonConnector):  # type: ignore[misc]
    """Opens connections to p2pd, and closes any that it cannot hand out."""

    async def open_persistent_connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.open_connection()
        try:
            await _ask(reader, writer, p2pd_pb2.Request.PERSISTENT_CONN_UPGRADE)
        except BaseException:
            writer.close()
            raise
        return reader, writer


class Control(ControlClient):  # type: ignore[misc]  # hivemind is untyped
    """Created by `Control.create`; answers nobody until `serve` is called."""

    _gate: Gate
    _refusals = 0
    """Requests that were refused."""
    unary_handlers: dict[str, Handler]
    handlers: dict[str, StreamHandler]

    async def serve(
        self, gate: Gate, requests: dict[str, Handler], streams: dict[str, StreamHandler]
    ) -> None:
        """Start answering; `gate` decides whom. Raises P2PDaemonError if p2pd refuses."""
        self._gate, self.unary_handlers, self.handlers = gate, requests, streams
        for protocol in requests:
            add = p2pd_pb2.AddUnaryHandlerRequest(proto=protocol, balanced=False)
            await self._exchange(addUnaryHandler=add)
        where = self.listen_maddr.to_bytes()
        handling = p2pd_pb2.StreamHandlerRequest(addr=where, proto=list(streams), balanced=False)
        await self._tell(p2pd_pb2.Request.STREAM_HANDLER, streamHandler=handling)

    # Calls -------------------------------------------------------------------------------------------

    async def call(self, peer: bytes, protocol: str, request: bytes, bytes_max: int) -> bytes:
        """Return a peer's raw answer. Raises MessageError if it is too long, BusyError, P2PD_ERRORS."""
        call = p2pd_pb2.CallUnaryRequest(peer=peer, proto=protocol, data=request)
        answer: bytes = await self._exchange(callUnary=call)
        if len(answer) > bytes_max:
            raise MessageError(Malformed.SIZE, f"{len(answer)} bytes where at most {bytes_max} are allowed")
        return answer

    async def _exchange(self, **message: Any) -> Any:
        call_id = uuid4()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending_calls[call_id] = future
        self._send(call_id.bytes, **message)
        try:
            return await future
        except asyncio.CancelledError:
            self._send(call_id.bytes, cancel=p2pd_pb2.Cancel())
            raise
        finally:
            self._pending_calls.pop(call_id, None)

    def _send(self, call_id: bytes, **message: Any) -> None:
        self._pending_messages.put_nowait(p2pd_pb2.PersistentConnectionRequest(callId=call_id, **message))

    async def _write_to_persistent_conn(self, writer: asyncio.StreamWriter) -> None:
        """Write messages until p2pd closes the connection. The session detects the close itself."""
        with closing(writer), suppress(OSError):
            while True:
                messages = [await self._pending_messages.get()]
                while not self._pending_messages.empty():
                    messages.append(self._pending_messages.get_nowait())
                if writer.is_closing():
                    return
                writer.write(b"".join(map(delimited, messages)))
                await writer.drain()

    async def _read_from_persistent_conn(self, reader: asyncio.StreamReader) -> None:
        """Read messages until p2pd closes the connection. Nothing that a peer sends ends this.

        After a refusal, the next read waits so that it collects several messages. Reading a flood one message
        at a time would make the model thread wait for each.
        """
        splitter = Splitter(2 * MESSAGE_BYTES_MAX)
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                refusals = self._refusals
                for message in splitter.feed(data):
                    self._read(message)
                if self._refusals > refusals:
                    await asyncio.sleep(REFUSED_PAUSE_S)

    def _read(self, data: bytes) -> None:
        try:
            self._take(p2pd_pb2.PersistentConnectionResponse.FromString(data))
        except (DecodeError, ValueError) as error:  # ValueError: text that is not UTF-8, or an invalid id
            log.debug("message from p2pd skipped", error=str(error)[:ERROR_CHARS_MAX])

    def _take(self, message: Any) -> None:
        kind = message.WhichOneof("message")
        if kind == "requestHandling":
            request = message.requestHandling
            self._answer(message.callId, request.peer, request.proto, request.data)
            return
        future = self._pending_calls.get(UUID(bytes=message.callId))
        if kind == "cancel" or future is None or future.done():
            return
        if kind == "daemonError":
            future.set_exception(P2PDaemonError(message.daemonError.message[:ERROR_CHARS_MAX]))
        elif kind == "callUnaryResponse" and message.callUnaryResponse.HasField("response"):
            future.set_result(message.callUnaryResponse.response)
        elif kind == "callUnaryResponse":
            future.set_exception(_remote_error(message.callUnaryResponse.error))
        else:
            future.set_result(b"")

    def _answer(self, call_id: bytes, peer: bytes, protocol: str, data: bytes) -> None:
        handler = self.unary_handlers.get(protocol)
        try:
            read_peer_id(peer)
            if handler is None or not self._gate.admits_request(peer, protocol, len(data)):
                self._refusals += 1
                answer = p2pd_pb2.CallUnaryResponse(error=BUSY)
            else:
                response = handler(data, peer)
                self._gate.answered(peer, protocol, len(response))
                answer = p2pd_pb2.CallUnaryResponse(response=response)
        except BusyError:
            answer = p2pd_pb2.CallUnaryResponse(error=BUSY)
        except MessageError as error:
            self._gate.noted(peer, error)
            answer = p2pd_pb2.CallUnaryResponse(error=error.reason.encode())
        except Exception:  # a request from one peer must not end the daemon; the bug is ours
            log.exception("a request could not be answered", protocol=protocol, bytes=len(data))
            answer = p2pd_pb2.CallUnaryResponse(error=BUSY)
        self._send(call_id, unaryResponse=answer)

    # Streams -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Control]:
        """Accept the streams that p2pd opens to our socket, until the block exits."""
        socket = self.listen_maddr["unix"]
        async with await asyncio.start_unix_server(self._handler, socket, backlog=STREAMS_WAITING_MAX):
            yield self

    async def _handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle a stream that a peer opened, on a separate connection from p2pd."""
        with closing(writer):
            try:
                async with asyncio.timeout(STREAM_SECONDS):
                    info = p2pd_pb2.StreamInfo.FromString(await read_delimited(reader, STREAM_BYTES_MAX))
                peer, address, protocol = bytes(info.peer), bytes(info.addr), info.proto
                read_peer_id(peer)
            except (TimeoutError, EOFError, OSError, DecodeError, ValueError, MessageError) as error:
                log.debug("stream refused", error=str(error)[:ERROR_CHARS_MAX])
                return
            handler = self.handlers.get(protocol)
            if handler is None or not self._gate.admits_stream(peer, address):
                await refuse(reader, writer)
            else:
                await handler(IncomingStream(peer, address), reader, writer)

    async def open_stream(
        self, peer: bytes, protocol: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream to the peer's handler; the caller closes it. Raises P2PD_ERRORS."""
        reader, writer = await self.daemon_connector.open_connection()
        try:
            opening = p2pd_pb2.StreamOpenRequest(peer=peer, proto=[protocol])
            await _ask(reader, writer, p2pd_pb2.Request.STREAM_OPEN, streamOpen=opening)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    # p2pd itself -------------------------------------------------------------------------------------

    async def dial(self, peer: bytes, addresses: Sequence[bytes]) -> None:
        """Connect to a peer. Without addresses, p2pd asks the peers that it knows for them."""
        dialling = p2pd_pb2.ConnectRequest(peer=peer, addrs=addresses)
        await self._tell(p2pd_pb2.Request.CONNECT, connect=dialling)

    async def hang_up(self, peer: bytes) -> None:
        """Close the connections to a peer."""
        ending = p2pd_pb2.DisconnectRequest(peer=peer)
        await self._tell(p2pd_pb2.Request.DISCONNECT, disconnect=ending)

    async def connections(self) -> list[tuple[bytes, bytes]]:
        """The peers that p2pd is connected to, each with the binary multiaddr of the other end."""
        answer = await self._tell(p2pd_pb2.Request.LIST_PEERS)
        return [(peer.id, peer.addrs[0]) for peer in answer.peers if peer.addrs]

    async def own_addresses(self) -> list[bytes]:
        """The binary multiaddrs at which p2pd believes it can be reached."""
        return list((await self._tell(p2pd_pb2.Request.IDENTIFY)).identify.addrs)

    async def _tell(self, kind: Any, **message: Any) -> Any:
        reader, writer = await self.daemon_connector.open_connection()
        with closing(writer):
            return await _ask(reader, writer, kind, **message)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: Any, **message: Any) -> Any:
    """Raises P2PDaemonError with p2pd's reason, OSError, EOFError."""
    writer.write(delimited(p2pd_pb2.Request(type=kind, **message)))
    await writer.drain()
    try:
        answer = p2pd_pb2.Response.FromString(await read_delimited(reader, ANSWER_BYTES_MAX))
        if answer.type == p2pd_pb2.Response.ERROR:
            raise P2PDaemonError(answer.error.msg[:ERROR_CHARS_MAX])
    except (DecodeError, ValueError) as error:  # ValueError: the text quotes a peer and is not UTF-8
        raise P2PDaemonError("p2pd sent an unreadable answer") from error
    return answer


def _remote_error(text: bytes) -> Exception:
    if text == BUSY:
        return BusyError("the peer is serving too many others right now")
    error: Exception = P2PHandlerError(text[:ERROR_CHARS_MAX].decode(errors="replace"))
    return error
