"""Gets one small text from an https address that a stranger may have chosen.

A redirect may not lead to this machine or its network: then a public page could make a peer ask its owner's
router. The operator's own URL may be local. Names are resolved before each request, and the request goes to
the address that was checked, so a name cannot change its mind in between.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from urllib.parse import urljoin, urlsplit

import httpx

from swarmd.errors import ConfigError

BYTES_MAX = 262_144  # as many as a manifest may have
FETCH_S = 20.0  # for all of it, redirects included
STEP_S = 8.0  # to connect, and between two pieces of the answer
REDIRECTS_MAX = 3  # http://example.org -> https://example.org -> https://www.example.org, and one to spare
PIECE_BYTES = 16_384  # read at once: time and size are looked at after each
PORT = 443


def fetch_text(url: str, *, transport: httpx.BaseTransport | None = None) -> str:
    """The text at `url`, UTF-8. `transport`: instead of the network.

    Raises ConfigError: not https, no answer, too large, too slow, too many redirects, one to a local address.
    """
    deadline = time.monotonic() + FETCH_S
    asked, at = url, url
    with httpx.Client(
        timeout=STEP_S, follow_redirects=False, trust_env=transport is None, transport=transport
    ) as client:
        for _ in range(REDIRECTS_MAX + 1):
            _require_https(asked, at)
            if time.monotonic() > deadline:
                raise ConfigError(f"{asked} takes longer than {FETCH_S:.0f} s: try again, or another place")
            request = client.build_request("GET", at) if at == asked else _to_public(client, asked, at)
            try:
                answer = _get(client, asked, request, deadline)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                raise ConfigError(
                    f"{asked} cannot be fetched: {error or type(error).__name__}; check the address and the "
                    "connection, or save the file elsewhere and give --swarm FILE"
                ) from error
            if isinstance(answer, str):
                return answer
            at = urljoin(at, answer.target)
    raise ConfigError(f"{asked} redirects more than {REDIRECTS_MAX} times: give the address where it ends")


class _Redirect:
    def __init__(self, target: str) -> None:
        self.target = target


def _get(client: httpx.Client, asked: str, request: httpx.Request, deadline: float) -> str | _Redirect:
    """One request. Returns the text, or where it is said to be."""
    data = bytearray()
    response = client.send(request, stream=True)
    try:
        if response.is_redirect:
            return _Redirect(response.headers["location"])
        if response.status_code != httpx.codes.OK:
            raise ConfigError(
                f"{asked} answers {response.status_code} {response.reason_phrase}: check the address"
            )
        for piece in response.iter_bytes(PIECE_BYTES):
            data += piece
            if len(data) > BYTES_MAX:
                raise ConfigError(f"{asked} is larger than {BYTES_MAX} bytes: it is no swarm manifest")
            if time.monotonic() > deadline:
                raise ConfigError(f"{asked} takes longer than {FETCH_S:.0f} s: try again, or another place")
    finally:
        response.close()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{asked} is no text: it is no swarm manifest") from error


def _require_https(asked: str, at: str) -> None:
    try:
        parts = urlsplit(at)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{asked} is no URL: {error}") from error
    if parts.scheme != "https" or not host:
        through = "" if asked == at else f"{asked} redirects to "
        raise ConfigError(f"{through}{at[:200]} is not https://: nobody can be sure who answers there")


def _to_public(client: httpx.Client, asked: str, at: str) -> httpx.Request:
    """The request for where a redirect leads. It goes to the address that is checked here.

    Raises ConfigError if that is not on the internet.
    """
    url = httpx.URL(at)
    try:
        found = socket.getaddrinfo(url.host, url.port or PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{asked} redirects to {url.host[:100]}, which has no address: {error}") from error
    addresses = [str(address[0]) for *_, address in found]
    local = [address for address in addresses if not ipaddress.ip_address(address).is_global]
    if local:
        raise ConfigError(
            f"{asked} redirects to {url.host[:100]} ({local[0]}), which is no public address: refused, "
            "because a page must not reach into this network. Give that address itself if you mean it"
        )
    return client.build_request(
        "GET",
        url.copy_with(host=addresses[0]),
        headers={"host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": client.timeout.as_dict()},
    )
