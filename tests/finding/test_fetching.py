"""A manifest from an https address: bounded, and no way into the network of whoever asks."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from swarmd.errors import ConfigError
from swarmd.finding import fetching
from swarmd.finding.fetching import BYTES_MAX, fetch_text

URL = "https://example.org/swarm.toml"
Answer = Callable[[httpx.Request], httpx.Response]


def fetch(answer: Answer, url: str = URL) -> str:
    return fetch_text(url, transport=httpx.MockTransport(answer))


def redirect(to: str) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url) == URL:
            return httpx.Response(302, headers={"location": to})
        return httpx.Response(200, text=f"{request.url.host} {request.headers['host']}")

    return answer


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """DNS name -> its address."""
    known: dict[str, str] = {}

    def getaddrinfo(host, port, **_):
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", getaddrinfo)
    return known


def test_the_text_at_the_address():
    assert fetch(lambda request: httpx.Response(200, text="name = 1")) == "name = 1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda request: httpx.Response(404), "answers 404 Not Found"),
        (lambda request: httpx.Response(302), "answers 302 Found: check the address"),
        (lambda request: httpx.Response(200, content=b"\xff"), "is not UTF-8 text"),
        (lambda request: httpx.Response(200, content=b"a" * (BYTES_MAX + 1)), "larger than 262144 bytes"),
        (redirect(URL), "redirects more than 3 times|has no address"),
        (redirect("http://example.org/"), "redirects to http://example.org/ is not https"),
        (redirect("file:///etc/passwd"), "redirects to file:///etc/passwd is not https"),
        (redirect("https://xn--/"), "cannot be fetched: .*check the address"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(answer: Answer, message: str, names):
    with pytest.raises(ConfigError, match=message) as caught:
        fetch(answer)
    assert URL in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.org/", "ftp://example.org", "https://", "https://[::1"])
def test_only_https_addresses_are_asked(url: str):
    with pytest.raises(ConfigError):
        fetch(lambda request: pytest.fail("nobody is asked"), url)


def test_a_name_that_is_none_is_told_with_the_remedy():
    with pytest.raises(ConfigError, match=r"https://xn--/ cannot be fetched: .*check the address"):
        fetch(lambda request: httpx.Response(200, text="name = 1"), "https://xn--/")


def test_an_endless_answer_is_not_read_to_its_end():
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"a" * 16_384

    with pytest.raises(ConfigError, match="larger than"):
        fetch(lambda request: httpx.Response(200, content=endless()))
    assert len(read) <= BYTES_MAX / 16_384 + 2


def test_a_connection_that_fails_is_told_with_the_remedy():
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ConfigError, match=f"{URL} cannot be fetched: refused; check the address"):
        fetch(fail)


def test_a_redirect_goes_to_the_address_that_was_checked(names):
    names["www.example.net"] = "93.184.215.14"
    assert fetch(redirect("https://www.example.net/x")) == "93.184.215.14 www.example.net"


def test_an_answer_that_only_looks_small_is_not_unpacked():
    asked: list[httpx.Request] = []

    def bomb(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, headers={"content-encoding": "gzip, gzip"}, stream=httpx.ByteStream(b"x"))

    with pytest.raises(ConfigError, match="compressed data that was not requested"):
        fetch(bomb)
    assert asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("slow", ["head", "body"])
def test_a_server_that_takes_its_time_has_no_more_than_all_may_take(monkeypatch, slow: str):
    monkeypatch.setattr(fetching, "FETCH_S", 0.05)
    never = asyncio.Event()

    async def dribble() -> AsyncIterator[bytes]:
        yield b"a"
        await never.wait()

    async def answer(request: httpx.Request) -> httpx.Response:
        if slow == "head":
            await never.wait()
        return httpx.Response(200, content=dribble())

    with pytest.raises(ConfigError, match="takes over"):
        fetch(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("local", [True, False])
def test_a_resolver_that_hangs_has_no_more_than_all_may_take(monkeypatch: pytest.MonkeyPatch, local: bool):
    monkeypatch.setattr(fetching, "FETCH_S", 0.05)
    monkeypatch.setenv("NO_PROXY", "*")
    resolving, given_up, ended = threading.Event(), threading.Event(), threading.Event()

    def getaddrinfo(*_, **__):
        resolving.set()
        given_up.wait(10.0)
        ended.set()
        return []

    monkeypatch.setattr(fetching.socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ConfigError, match="takes over"):
        fetch_text(URL, local=local)
    assert resolving.is_set()
    assert not ended.is_set()
    given_up.set()
    assert ended.wait(10.0), "an answer that comes too late disturbs nobody"


def test_what_a_stranger_points_to_is_not_asked_in_a_private_network(names):
    names["example.org"] = "192.168.1.1"
    with pytest.raises(ConfigError, match=r"is example.org \(192.168.1.1\), which is not a public address"):
        fetch_text(URL, local=False, transport=httpx.MockTransport(lambda _: pytest.fail("nobody is asked")))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "192.168.1.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fd00::1",
        "fe80::1%1",
        "::ffff:192.168.1.1",
        "64:ff9b::c0a8:101",
        "2002:7f00:1::1",
        "224.0.0.1",
    ],
)
def test_a_redirect_into_a_private_network_is_refused(names, address: str):
    names["inside.example.net"] = address
    with pytest.raises(ConfigError, match="is not a public address"):
        fetch(redirect("https://inside.example.net/"))
