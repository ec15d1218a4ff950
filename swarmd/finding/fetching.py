"""Gets one small text from an https address that a stranger may have chosen.

Neither a redirect nor a DNS record may lead to this machine or its network: then a stranger could make a peer
ask its owner's router. The operator's own URL may be local. Names are resolved before such a request, and the
request goes to the address that was checked, so a name cannot change its mind in between.

Bytes are taken as they are: a compressed answer of some KB can be many GB.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin

import httpx

from swarmd.errors import ConfigError
from swarmd.finding.urls import require_https

BYTES_MAX = 262_144  # as many as a manifest may have
FETCH_S = 20.0  # for all of it, redirects included
STEP_S = 8.0  # to connect, and between two pieces of the answer
REDIRECTS_MAX = 3  # http://example.org -> https://example.org -> https://www.example.org, and one to spare
PIECE_BYTES = 16_384  # read at once: the size is looked at after each
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # how networks without IPv4 say IPv4 addresses (RFC 6052)
REASON_CHARS_MAX = 64  # of the server's own words on a status
PORT = 443


def fetch_text(url: str, *, local: bool = True, transport: httpx.AsyncBaseTransport | None = None) -> str:
    """The text at `url`, UTF-8. `local`: it may be at a local address. `transport`: instead of the network.

    Not to be called on an event loop. Raises ConfigError: not https, no answer, too large, too slow, too many
    redirects, a local address.
    """
    try:
        return asyncio.run(_fetch(url, local, transport))
    except TimeoutError as error:
        raise ConfigError(f"{url} takes longer than {FETCH_S:.0f} s: try again, or another place") from error


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
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
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


async def _get(client: httpx.AsyncClient, asked: str, request: httpx.Request) -> str | _Redirect:
    """One request. Returns the text, or where it is said to be."""
    data = bytearray()
    response = await client.send(request, stream=True)
    try:
        if response.is_redirect:
            return _Redirect(response.headers["location"])
        if response.status_code != httpx.codes.OK:
            reason = response.reason_phrase[:REASON_CHARS_MAX]
            raise ConfigError(f"{asked} answers {response.status_code} {reason}: check the address")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ConfigError(f"{asked} answers with compressed bytes unasked: put the plain file there")
        async for piece in response.aiter_bytes(PIECE_BYTES):
            data += piece
            if len(data) > BYTES_MAX:
                raise ConfigError(f"{asked} is larger than {BYTES_MAX} bytes: it is no swarm manifest")
    finally:
        await response.aclose()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{asked} is no text: it is no swarm manifest") from error


async def _to_public(client: httpx.AsyncClient, asked: str, at: str) -> httpx.Request:
    """The request for where a stranger's word leads. It goes to the address that is checked here.

    Raises ConfigError if that is not on the internet.
    """
    url = httpx.URL(at)
    leads = "is" if at == asked else "redirects to"
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{asked} {leads} {url.host[:100]}, which has no address: {error}") from error
    addresses = [str(address[0]) for *_, address in found]
    local = [address for address in addresses if not _is_public(address)]
    if local:
        raise ConfigError(
            f"{asked} {leads} {url.host[:100]} ({local[0]}), which is no public address: refused, "
            "because a stranger must not reach into this network. Give that address itself if you mean it"
        )
    return client.build_request(
        "GET",
        url.copy_with(host=addresses[0]),
        headers={"host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": client.timeout.as_dict()},
    )


def _is_public(address: str) -> bool:
    """Whether it is on the internet, also if it says an IPv4 address in another form."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        within = ipaddress.IPv4Address(int(ip) % 2**32) if ip in NAT64 else None
        ip = within or ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast
