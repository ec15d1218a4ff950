"""Serve the status pages inside the daemon's event loop: always on a unix socket, and over HTTP on request.

uvicorn does the HTTP; it installs no signal handlers here, because the daemon owns the signals.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from swarmd.addresses import parse_http
from swarmd.errors import ConfigError
from swarmd.observe.app import CarryOut, KnownHostOnly, Ping, status_app
from swarmd.observe.connections import BriefConnection
from swarmd.observe.play import Play
from swarmd.observe.snapshot import Starting, StatusSnapshot
from swarmd.observe.sources import Sources
from swarmd.observe.stream import Streams
from swarmd.observe.token import TokenOnly, is_loopback

BACKLOG = 64  # connections waiting in the kernel; a person and a scraper need two
CONNECTIONS_MAX = 64  # at once; the oldest idle one makes room for the next
KEEP_ALIVE_S = 5
SHUTDOWN_S = 1  # for requests in progress: nearly all are answered in milliseconds
PRIVATE = 0o600  # the status names peers and addresses: only for the daemon's user


class _Server(uvicorn.Server):
    """One listening socket; `ready` is set once it is served."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BriefConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )
        self.listener = listener
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # otherwise uvicorn takes SIGINT and SIGTERM from the daemon

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def close(self) -> None:
        """Stop listening at once, even if `startup` was never reached or `serve` was cancelled."""
        for server in getattr(self, "servers", []):
            server.close()
        self.listener.close()


class StatusServer:
    """`bind`, then `serve` as a task, then wait for `started`; `stop` makes `serve` return."""

    def __init__(
        self,
        snapshot: Callable[[], StatusSnapshot | Starting],
        socket_path: Path,
        http: str | None = None,
        carry_out: CarryOut | None = None,
        ping: Ping | None = None,
        *,
        sources: Sources | None = None,
        play: Play | None = None,
        token: str | None = None,
        http_hosts: Sequence[str] = (),
    ) -> None:
        """`carry_out` and `ping` are reachable only through the unix socket, and need no token. `play`: what
        a person can do there and on the page; None: nothing. `http_hosts`: names under which browsers may
        open the page, in addition to addresses.
        """
        self.started = asyncio.Event()
        self._streams = Streams(snapshot, sources or Sources())
        self._pages = status_app(snapshot, sources=sources, streams=self._streams, play=play)
        self._own = status_app(snapshot, carry_out, ping, sources=sources, streams=self._streams, play=play)
        self._socket_path = socket_path
        self._http = http
        self._token = token
        self._http_hosts = http_hosts
        self._base_url: str | None = None
        self._servers: list[_Server] = []

    @property
    def base_url(self) -> str | None:
        """http://HOST:PORT once bound, None without HTTP. HOST can be opened in a browser: it is not
        0.0.0.0.
        """
        return self._base_url

    def bind(self) -> None:
        """Bind the sockets. Raises ConfigError, holding none of them, if one cannot be bound, or if others
        could reach the page and there is no token.
        """
        try:
            unix = self._bind_unix()
            self._servers.append(_Server(self._own, unix))
            if self._http is not None:
                self._servers.append(self._bind_pages(*parse_http(self._http)))
        except ConfigError:
            self.close()
            raise

    def _bind_pages(self, host: str, port: int) -> _Server:
        if self._token is None and not is_loopback(host):
            raise ConfigError(
                f"--http {self._http}: other machines can reach {host}, so the page needs a token: "
                "give --http-token, or listen on 127.0.0.1"
            )
        listener = _bind_tcp(host, port)
        shown, port = _openable(host), listener.getsockname()[1]
        self._base_url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        pages: ASGIApp = self._pages
        if self._token is not None:
            pages = TokenOnly(pages, self._token, port)
        return _Server(KnownHostOnly(pages, (host, *self._http_hosts)), listener)

    async def serve(self) -> None:
        """Answer until `stop` or cancellation; the unix socket is removed afterwards."""
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers:
                    group.create_task(server.serve([server.listener]), name="status server")
                for server in self._servers:
                    await server.ready.wait()
                self.started.set()
        finally:
            self.close()

    def stop(self) -> None:
        """Finish the requests in progress, then end. Idempotent."""
        self._streams.close()
        for server in self._servers:
            server.should_exit = True

    def _bind_unix(self) -> socket.socket:
        """Return a private listening socket. The home's lock keeps other daemons away, so an existing file is
        stale.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket_path.unlink(missing_ok=True)
            listener.bind(str(self._socket_path))
            self._socket_path.chmod(PRIVATE)  # before listen, so nobody can have connected
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            reason = error.strerror or error
            raise ConfigError(f"cannot create the status socket {self._socket_path}: {reason}") from error
        return listener

    def close(self) -> None:
        """Close the sockets. `serve` does so when it ends; a start that is abandoned must call this."""
        for server in self._servers:
            server.close()
        if self._servers:
            with suppress(OSError):  # the home may have become read-only; the next start removes the file
                self._socket_path.unlink(missing_ok=True)
        self._servers.clear()


def _openable(host: str) -> str:
    """Return `host`, or for 0.0.0.0 and :: the address from which this machine reaches others, else
    loopback.
    """
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not ip.is_unspecified:
        return host
    family, elsewhere, loopback = (
        (socket.AF_INET, "192.0.2.1", "127.0.0.1")
        if ip.version == 4
        else (socket.AF_INET6, "2001:db8::1", "::1")
    )
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # sends nothing: the system only chooses our address
            return str(probe.getsockname()[0])
    except OSError:
        return loopback


def _bind_tcp(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises ConfigError, which names what is taken or wrong."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"--http {host}:{port}: port {port} is in use: choose another, or stop what listens there"
            ) from error
        raise ConfigError(f"--http {host}:{port}: cannot listen there: {error.strerror}") from error
    return listener
