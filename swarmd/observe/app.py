"""The status pages as an ASGI application, and a way to judge peers, on the unix socket only.

/status   the snapshot as JSON          /healthz   200 when healthy, else 503 with the reasons
/metrics  Prometheus text               /          the dashboard, one page without outside resources

Until the daemon is a peer, the first three answer 503 and say what it is doing.

POST /peers/ORDER and POST /ping with {"peers": [...]} are served only if a `carry_out` and a `ping` are
given. The unix socket is the operator's own, but a page open in any browser may send requests to a loopback
port.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from swarmd.errors import ConfigError, SwarmdError
from swarmd.observe.metrics import exposition
from swarmd.observe.snapshot import Health, Starting, StatusSnapshot

CarryOut = Callable[[str, Sequence[str]], str | None]
"""(order, peer ids) -> None when it is done, else why not. Called on the event loop."""

Ping = Callable[[str], Awaitable[float]]
"""peer id -> seconds of a round trip to it. Raises SwarmdError if it does not answer."""

ORDER_BYTES_MAX = 65_536  # a thousand peer ids; no person names more at once

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def status_app(
    snapshot: Callable[[], StatusSnapshot | Starting],
    carry_out: CarryOut | None = None,
    ping: Ping | None = None,
) -> Starlette:
    """The application. `snapshot` is called on the event loop once per request and must be quick."""

    async def status(_request: Request) -> Response:
        found = snapshot()
        code = 503 if isinstance(found, Starting) else 200
        return Response(found.model_dump_json(), status_code=code, media_type="application/json")

    async def healthz(_request: Request) -> Response:
        found = snapshot()
        health = Health(ok=False, reasons=(str(found),)) if isinstance(found, Starting) else found.health
        return JSONResponse(health.model_dump(mode="json"), status_code=200 if health.ok else 503)

    async def metrics(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return PlainTextResponse(f"{found}\n", status_code=503)
        text, content_type = exposition(found, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def dashboard(_request: Request) -> Response:
        page, policy = _dashboard()
        return HTMLResponse(page, headers={"content-security-policy": policy})

    routes = [
        Route("/status", status, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/", dashboard, methods=["GET"]),
    ]
    if carry_out is not None:
        routes.append(Route("/peers/{order}", _judging(snapshot, carry_out), methods=["POST"]))
    if ping is not None:
        routes.append(Route("/ping", _pinging(snapshot, ping), methods=["POST"]))
    return Starlette(routes=routes)


def _judging(
    snapshot: Callable[[], StatusSnapshot | Starting], carry_out: CarryOut
) -> Callable[[Request], Awaitable[Response]]:
    async def judging(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return Response(found.model_dump_json(), status_code=503, media_type="application/json")
        try:
            problem = carry_out(request.path_params["order"], await _peers(request))
        except ConfigError as error:
            return _refused(str(error))
        return JSONResponse({}) if problem is None else _refused(problem)

    return judging


def _pinging(
    snapshot: Callable[[], StatusSnapshot | Starting], ping: Ping
) -> Callable[[Request], Awaitable[Response]]:
    async def pinging(request: Request) -> Response:
        found = snapshot()
        if isinstance(found, Starting):
            return Response(found.model_dump_json(), status_code=503, media_type="application/json")
        try:
            peers = await _peers(request)
            if len(peers) != 1:
                return _refused("one peer at a time")
            return JSONResponse({"seconds": await ping(peers[0])})
        except SwarmdError as error:
            return _refused(str(error))

    return pinging


async def _peers(request: Request) -> tuple[str, ...]:
    """The peers that the request names. Raises ConfigError."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > ORDER_BYTES_MAX:
            raise ConfigError("too many peers at once")
    try:
        return _Peers.model_validate_json(body).peers
    except ValidationError as error:
        raise ConfigError('expected {"peers": [...]}') from error


def _refused(problem: str) -> Response:
    return JSONResponse({"error": problem}, status_code=400)


class _Peers(BaseModel):
    peers: tuple[str, ...]


@cache
def _dashboard() -> tuple[str, str]:
    """The page and the content security policy that lets its own script run and nothing else."""
    page = files("swarmd.observe").joinpath("dashboard.html").read_text(encoding="utf-8")
    script = _SCRIPT.findall(page)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


class KnownHostOnly:
    """Refuses requests whose Host header is a name we were not given.

    A web page can point a name of its own at 127.0.0.1 and read what answers (DNS rebinding); its requests
    then carry that name. An IP address in Host cannot be rebound, so these always pass, as does localhost.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._known(Request(scope).headers.get("host", "")):
            response = PlainTextResponse("unknown Host: use an IP address or localhost\n", status_code=421)
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
