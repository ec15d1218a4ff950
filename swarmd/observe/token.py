"""The token that protects the page where others could reach it, and how it is checked.

A browser sends it once, as /?token=..., and keeps it as a cookie. No other path accepts it in the address,
since it would stay in histories and in proxy logs. A scraper sends `Authorization: Bearer`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from swarmd.addresses import parse_http
from swarmd.errors import ConfigError

FILE = "http-token"
TOKEN = re.compile(r"[A-Za-z0-9_.~-]{16,128}")
"""Characters that a URL and a cookie carry unescaped. From 16 characters on, guessing over a network is
hopeless.
"""

TOKEN_BYTES = 24  # of a token made here: 192 random bits
COOKIE_S = 365 * 24 * 3600  # how long a browser keeps it
PRIVATE = 0o600

_ASKED = (
    "401: this page needs its token.\n\n"
    "Open the address that swarmd printed when it made the token, or add /?token=TOKEN after HOST:PORT.\n"
    f"The token is in the file {FILE} in the peer's home, unless --http-token sets a different one.\n"
    "Scripts send it as the header  Authorization: Bearer TOKEN\n"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`. localhost is the only name accepted as
    safe.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def page_token(http: str | None, given: str | None, home: Path) -> tuple[str | None, bool]:
    """Return (the token that `http` needs or None, whether it was created just now and must be shown).

    A token created here is kept in the home, so that a browser's cookie survives a restart. Raises
    ConfigError if the home's file cannot be read or written, or contains something else.
    """
    if given is not None or http is None or is_loopback(parse_http(http)[0]):
        return given, False
    path = home / FILE
    try:
        if path.exists():
            return _read(path), False
        token = secrets.token_urlsafe(TOKEN_BYTES)
        _write(path, token)
    except OSError as error:
        raise ConfigError(
            f"the token of the page cannot be stored in {path} ({error.strerror}): check the permissions, or "
            "give one with --http-token"
        ) from error
    return token, True


def _write(path: Path, token: str) -> None:
    """Write whole or not at all: an empty file, left by a crash, would prevent the next start. Raises
    OSError.
    """
    written = path.with_name(f"{path.name}.writing")
    written.unlink(missing_ok=True)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
        file.flush()
        os.fsync(descriptor)
    written.replace(path)


def page_words(url: str, given: str | None, token: str | None, home: Path) -> str:
    """Return the page's address, and where its token is if it needs one. Safe to log."""
    if token is None:
        return url
    return f"{url} needs its token ({home / FILE if given is None else '--http-token'})"


def tell_token(url: str, token: str, home: Path) -> None:
    """Print a new token, once, on standard error.

    It is not an event: events go to the logs, to a table of the database and to the page itself.
    """
    with suppress(OSError):  # standard error is gone; the file has the token
        print(
            f"the page with its new token (kept in {home / FILE}): {url}?token={token}",
            file=sys.stderr,
            flush=True,
        )


def _read(path: Path) -> str:
    token = path.read_text(encoding="utf-8", errors="replace").strip()
    if not TOKEN.fullmatch(token):
        raise ConfigError(
            f"{path} contains no token (16 to 128 letters, digits, - _ . ~): delete it to have a new one made"
        )
    return token


class TokenOnly:
    """Answers 401 to every request without the token."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """`port` is part of the cookie's name, because a browser sends a host's cookies to all of its
        ports.
        """
        self._app = app
        self._token = token
        self._cookie = f"swarmd_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if request.url.path == "/" and self._is_right(request.query_params.get("token")):
            await self._welcome()(scope, receive, send)
        elif self._is_right(self._sent(request)):
            await self._app(scope, receive, send)
        else:
            refusal = PlainTextResponse(_ASKED, status_code=401, headers={"www-authenticate": "Bearer"})
            await refusal(scope, receive, send)

    def _welcome(self) -> RedirectResponse:
        """Remove the token from the address bar. The redirect is relative, because there may be a path
        prefix.
        """
        answer = RedirectResponse("./", status_code=303, headers={"referrer-policy": "no-referrer"})
        answer.set_cookie(
            self._cookie, self._token, max_age=COOKIE_S, path=None, httponly=True, samesite="lax"
        )
        return answer

    def _sent(self, request: Request) -> str | None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip()
        return request.cookies.get(self._cookie)

    def _is_right(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self._token.encode())
