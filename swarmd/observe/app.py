"""The status pages as an ASGI application, and orders about peers, on the unix socket only.

/status   the snapshot as JSON          /healthz   200 when healthy, else 503 with the reasons
/metrics  Prometheus text               /          the page; it loads nothing from other servers
/stream, /state, /records, /settings and /page/ are for the page.

Until the daemon is a peer, the first three answer 503 and say what it is doing.

POST /peers/ORDER and POST /ping with {"peers": [...]} are served only if `carry_out` and `ping` are given.
They are for the operator's unix socket alone, because a page open in any browser can send requests to a
loopback port. The routes under /play/ have their own protection against that (`play_routes.py`).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from swarmd.errors import ConfigError, StorageError, SwarmdError
from swarmd.observe.client import PING_ANSWER_S
from swarmd.observe.connections import may_take
from swarmd.observe.metrics import exposition
from swarmd.observe.page_files import index, page_file
from swarmd.observe.play import Play
from swarmd.observe.play_routes import play_routes
from swarmd.observe.snapshot import Health, Starting
from swarmd.observe.sources import RECORDS_MAX, RECORDS_S, RecordKind, Sources
from swarmd.observe.stream import Snapshot, Streams, names_in

CarryOut = Callable[[str, Sequence[str]], str | None]
"""(order, peer ids) -> None once it is carried out, else why it cannot be. Called on the event loop."""

Ping = Callable[[str], Awaitable[float]]
"""peer id -> seconds of a round trip to it. Raises SwarmdError if it does not answer."""

KINDS: tuple[RecordKind, ...] = get_args(RecordKind)

ORDER_BYTES_MAX = 65_536  # a thousand peer ids; nobody names more at once


def status_app(
    snapshot: Snapshot,
    carry_out: CarryOut | None = None,
    ping: Ping | None = None,
    *,
    sources: Sources | None = None,
    streams: Streams | None = None,
    play: Play | None = None,
) -> Starlette:
    """Return the application. `snapshot` is called on the event loop, once per second for the pages, and must
    be quick. If it or a source raises StorageError, the answer is 503 with the message.

    `streams`: pass your own to be able to close them.
    """
    sources = sources or Sources()
    streams = streams or Streams(snapshot, sources)

    async def status(_request: Request) -> Response:
        found = snapshot()
        code = 503 if isinstance(found, Starting) else 200
        return Response(found.model_dump_json(), status_code=code, media_type="application/json")

    async def healthz(_request: Request) -> Response:
        found = snapshot()
        health = Health(ok=False, reasons=(str(found),)) if isinstance(found, Starting) else found.health
        return _Json(health.model_dump(mode="json"), status_code=200 if health.ok else 503)

    async def metrics(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return PlainTextResponse(f"{found}\n", status_code=503)
        text, content_type = exposition(found, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def state(_request: Request) -> Response:
        return Response(streams.state(), media_type="application/json")

    async def settings(_request: Request) -> Response:
        return _Json(dict(sources.settings()))

    routes = [
        Route("/status", status, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/", index, methods=["GET"]),
        Route("/page/{name}", page_file, methods=["GET"]),
        Route("/stream", streams.answer, methods=["GET"]),
        Route("/state", state, methods=["GET"]),
        Route("/records", _records(sources), methods=["GET"]),
        Route("/settings", settings, methods=["GET"]),
    ]
    if carry_out is not None:
        routes.append(Route("/peers/{order}", _judging(snapshot, carry_out), methods=["POST"]))
    if ping is not None:
        routes.append(Route("/ping", _pinging(snapshot, ping), methods=["POST"]))
    if play is not None:
        routes += play_routes(snapshot, play)
    return Starlette(routes=routes, exception_handlers={StorageError: _unreadable})


def _records(sources: Sources) -> Callable[[Request], Awaitable[Response]]:
    async def records(request: Request) -> Response:
        kind, limit = request.query_params.get("kind", "own"), request.query_params.get("limit", "20")
        wanted = next((each for each in KINDS if each == kind), None)
        if wanted is None:
            return _refused(f"kind is one of {', '.join(KINDS)}")
        if not (re.fullmatch(r"[0-9]{1,2}", limit) and 1 <= int(limit) <= RECORDS_MAX):
            return _refused(f"limit is a number from 1 to {RECORDS_MAX}")
        may_take(request, RECORDS_S)
        found = await sources.records(wanted, int(limit))
        shown = [record.model_dump(mode="json") for record in found]
        names = names_in(" ".join(record.publisher or "" for record in found))
        return _Json({"records": shown, "names": names})

    return records


def _judging(snapshot: Snapshot, carry_out: CarryOut) -> Callable[[Request], Awaitable[Response]]:
    async def judging(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return Response(found.model_dump_json(), status_code=503, media_type="application/json")
        try:
            problem = carry_out(request.path_params["order"], await _peers(request))
        except ConfigError as error:
            return _refused(str(error))
        return _Json({}) if problem is None else _refused(problem)

    return judging


def _pinging(snapshot: Snapshot, ping: Ping) -> Callable[[Request], Awaitable[Response]]:
    async def pinging(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return Response(found.model_dump_json(), status_code=503, media_type="application/json")
        try:
            peers = await _peers(request)
            if len(peers) != 1:
                return _refused("one peer at a time")
            may_take(request, PING_ANSWER_S)
            return _Json({"seconds": await ping(peers[0])})
        except SwarmdError as error:
            return _refused(str(error))

    return pinging


async def _peers(request: Request) -> tuple[str, ...]:
    """Return the peers that the request names. Raises ConfigError."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > ORDER_BYTES_MAX:
            raise ConfigError("too many peers at once")
    try:
        return _Peers.model_validate_json(body).peers
    except ValidationError as error:
        raise ConfigError('expected {"peers": [...]}') from error


async def _unreadable(_request: Request, error: Exception) -> Response:
    return _Json({"error": str(error)}, status_code=503)


def _refused(problem: str) -> Response:
    return _Json({"error": problem}, status_code=400)


class _Json(JSONResponse):
    """JSON in ASCII. Python holds a path that is not UTF-8 as text that UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class _Peers(BaseModel):
    peers: tuple[str, ...]


_UNKNOWN_HOST = (
    "421: this page is not served under this host name.\n\n"
    "Open it by its IP address, or start swarmd with  --http-host NAME  to allow the name in the address bar "
    "(observe.http_hosts in config.toml).\n"
)


class KnownHostOnly:
    """Rejects requests whose Host header is a name that the operator did not allow.

    A web page can point a name of its own at 127.0.0.1 and read the answers (DNS rebinding); its requests
    then carry that name. An IP address in Host cannot be rebound, so addresses always pass, as does
    localhost.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        """`names`: the names that the operator allowed."""
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._known(Request(scope).headers.get("host", "")):
            response = PlainTextResponse(_UNKNOWN_HOST, status_code=421)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, header: str) -> bool:
        host = re.sub(r":\d+\Z", "", header).removeprefix("[").removesuffix("]").lower()
        if host in self._names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
