"""Fetches one small text from an https URL that a stranger may have chosen.

Neither a redirect nor a DNS record may lead to this machine or its network; otherwise a stranger could make a
peer send requests to its owner's router. The operator's own URL may be local. Names are resolved before the
request, which then goes to the checked address, so that a name cannot change its meaning in between.

Compressed answers are refused: a few KB can expand to many GB.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import Any
from urllib.parse import urljoin

import httpx

from swarmd.errors import ConfigError
from swarmd.finding.urls import require_https
from swarmd.quoting import shortened

BYTES_MAX = 262_144  # as large as a manifest can be
FETCH_S = 20.0  # in total, including names and redirects
STEP_S = 8.0  # to connect, and between two pieces of the answer
REDIRECTS_MAX = 3  # http://example.org -> https://example.org -> https://www.example.org, and one spare
PIECE_BYTES = 16_384  # read at a time; the size is checked after each
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # how networks without IPv4 represent IPv4 addresses (RFC 6052)
REASON_CHARS_MAX = 64  # of the server's reason phrase
PORT = 443


def fetch_text(url: str, *, local: bool = True, transport: httpx.AsyncBaseTransport | None = None) -> str:
    """Fetch the UTF-8 text at `url`. `local`: allow a local address. `transport`: replaces the network.

    Do not call on an event loop. Raises ConfigError: not https, no answer, too large, too slow, too many
    redirects, a local address.
    """
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            return runner.run(_fetch(url, local, transport))
    except TimeoutError as error:
        raise ConfigError(f"{url} takes over {FETCH_S:.0f} s: try again, or use another URL") from error


class _Loop(asyncio.SelectorEventLoop):
    """Resolves names in threads that nothing waits for. The system's resolver has no time-out, and a loop's
    own threads are waited for when the loop ends, and again when the process does."""

    async def getaddrinfo(self, *args: Any, **named: Any) -> Any:
        found: Future[Any] = Future()
        found.set_running_or_notify_cancel()  # so that it can take a result that nobody waits for any more

        def resolve() -> None:
            try:
                found.set_result(socket.getaddrinfo(*args, **named))
            except (OSError, UnicodeError) as error:
                found.set_exception(error)

        threading.Thread(target=resolve, name="resolving", daemon=True).start()
        return await asyncio.wrap_future(found)


async def _fetch(asked: str, local: bool, transport: httpx.AsyncBaseTransport | None) -> str:
    at = asked
    async with (
        asyncio.timeout(FETCH_S),
        httpx.AsyncClient(
            timeout=STEP_S, follow_redirects=False, trust_env=transport is None, transport=transport
        ) as client,
    ):
        for _ in range(REDIRECTS_MAX + 1):
            require_https(asked, at)
            try:
                if local and at == asked:
                    request = client.build_request("GET", at)
                else:
                    request = await _to_public(client, asked, at)
                request.headers["accept-encoding"] = "identity"
                answer = await _get(client, asked, request)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise ConfigError(
                    f"{asked} cannot be fetched: {error or type(error).__name__}; check the address and the "
                    "connection, or save the file elsewhere and give --swarm FILE"
                ) from error
            if isinstance(answer, str):
                return answer
            at = urljoin(at, answer.target)
    raise ConfigError(f"{asked} redirects more than {REDIRECTS_MAX} times: give the final URL")


class _Redirect:
    def __init__(self, target: str) -> None:
        self.target = target


async def _get(client: httpx.AsyncClient, asked: str, request: httpx.Request) -> str | _Redirect:
    """Send one request. Return the text, or the redirect."""
    data = bytearray()
    response = await client.send(request, stream=True)
    try:
        if response.has_redirect_location:
            return _Redirect(response.headers["location"])
        if response.status_code != httpx.codes.OK:
            reason = response.reason_phrase[:REASON_CHARS_MAX]
            raise ConfigError(f"{asked} answers {response.status_code} {reason}: check the address")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ConfigError(f"{asked} sends compressed data that was not requested: serve the plain file")
        async for piece in response.aiter_bytes(PIECE_BYTES):
            data += piece
            if len(data) > BYTES_MAX:
                raise ConfigError(f"{asked} is larger than {BYTES_MAX} bytes: not a swarm manifest")
    finally:
        await response.aclose()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{asked} is not UTF-8 text: not a swarm manifest") from error


async def _to_public(client: httpx.AsyncClient, asked: str, at: str) -> httpx.Request:
    """Build the request for a URL given by a stranger. It goes to the address that is checked here.

    Raises ConfigError if the address is not public.
    """
    url = httpx.URL(at)
    leads = "is" if at == asked else "redirects to"
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{asked} {leads} {shortened(url.host)}, which has no address: {error}") from error
    addresses = [str(address[0]) for *_, address in found]
    local = [address for address in addresses if not _is_public(address)]
    if local:
        raise ConfigError(
            f"{asked} {leads} {shortened(url.host)} ({local[0]}), which is not a public address: refused, "
            "because a stranger must not reach into this network. If you want that address, give it directly"
        )
    return client.build_request(
        "GET",
        url.copy_with(host=addresses[0]),
        headers={"host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": client.timeout.as_dict()},
    )


def _is_public(address: str) -> bool:
    """Whether the address is public, including IPv4 addresses embedded in IPv6."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        within = ipaddress.IPv4Address(int(ip) % 2**32) if ip in NAT64 else None
        ip = within or ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast
