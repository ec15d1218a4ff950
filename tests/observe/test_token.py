"""The page's token: needed where others can reach the page, made once, and never compared loosely."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from swarmd.config import Config, ObserveConfig
from swarmd.errors import ConfigError
from swarmd.observe import StatusServer
from swarmd.observe.settings_view import settings_view
from swarmd.observe.token import FILE, TOKEN, is_loopback, page_token, page_words
from tests.observe.made_up_peer import SNAPSHOT

RIGHT = "a-long-enough-token"


@asynccontextmanager
async def browser(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    server = StatusServer(lambda: SNAPSHOT, path / "sock", "127.0.0.1:0", token=RIGHT)
    server.bind()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.started.wait()
        async with httpx.AsyncClient(base_url=server.base_url or "") as client:
            yield client
        server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host, tmp_path) -> None:
    assert is_loopback(host)
    shown = f"[{host}]" if ":" in host else host
    assert page_token(f"{shown}:8080", None, tmp_path) == (None, False)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("http", ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:8080", "my.host:8080"])
def test_elsewhere_one_is_made_told_once_and_kept_private(http, tmp_path) -> None:
    token, is_new = page_token(http, None, tmp_path)
    assert token is not None
    assert TOKEN.fullmatch(token)
    assert is_new
    assert page_token(http, None, tmp_path) == (token, False)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_crash_while_it_is_written_stops_no_later_start(tmp_path, monkeypatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            page_token("0.0.0.0:8080", None, tmp_path)
    assert not (tmp_path / FILE).exists()
    _, is_new = page_token("0.0.0.0:8080", None, tmp_path)
    assert is_new
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_given_token_is_taken_as_it_is(tmp_path) -> None:
    assert page_token("0.0.0.0:8080", RIGHT, tmp_path) == (RIGHT, False)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["", "short", "with space in the token", "ü" * 20])
def test_a_file_without_a_token_is_named(text, tmp_path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(
        ConfigError, match=r"http-token contains no token .*: delete it to have a new one made"
    ):
        page_token("0.0.0.0:8080", None, tmp_path)


def test_a_home_that_cannot_keep_it_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be stored in .*http-token"):
        page_token("0.0.0.0:8080", None, tmp_path / "absent")


def test_a_server_that_others_can_reach_does_not_start_without_a_token(tmp_path) -> None:
    server = StatusServer(lambda: SNAPSHOT, tmp_path / "sock", "0.0.0.0:0")
    with pytest.raises(ConfigError, match=r"other machines can reach 0\.0\.0\.0.*--http-token"):
        server.bind()
    assert not (tmp_path / "sock").exists()


@pytest.mark.parametrize("every", ["0.0.0.0:0", "[::]:0"])
def test_the_address_told_can_be_opened_where_every_one_is_listened_on(every, tmp_path) -> None:
    if every.startswith("[") and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    server = StatusServer(lambda: SNAPSHOT, tmp_path / "sock", every, token=RIGHT)
    server.bind()
    try:
        told = httpx.URL(server.base_url or "")
        assert not ipaddress.ip_address(told.host).is_unspecified
        assert told.port
        socket.create_connection((told.host, told.port), 5).close()
    finally:
        server.close()


def test_what_is_said_of_the_page_names_the_place_of_its_token_and_never_the_token(tmp_path) -> None:
    url = "http://192.0.2.7:8080/"
    assert page_words(url, None, None, tmp_path) == url
    assert page_words(url, None, RIGHT, tmp_path) == f"{url} needs its token ({tmp_path / FILE})"
    assert page_words(url, RIGHT, RIGHT, tmp_path) == f"{url} needs its token (--http-token)"


async def test_nothing_is_served_without_the_token_and_the_answer_says_how(tmp_path) -> None:
    async with browser(tmp_path) as client:
        for url in (
            "/",
            "/status",
            "/stream",
            "/metrics",
            "/page/app.js",
            "/absent",
            "/?token=wrong",
            "/?token=",
            f"/status?token={RIGHT}",
            f"/page/app.js?token={RIGHT}",
        ):
            answer = await client.get(url)
            assert answer.status_code == 401
            assert "?token=TOKEN" in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
        assert RIGHT not in answer.text


async def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(tmp_path) -> None:
    async with browser(tmp_path) as client:
        answer = await client.get(f"/?token={RIGHT}")
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path" not in cookie, "the browser then keeps it for the path prefix that it sees"
        assert (await client.get("/status")).status_code == 200, "the client kept the cookie"


async def test_cookies_of_others_on_the_same_host_do_not_hide_it(tmp_path) -> None:
    async with browser(tmp_path) as client:
        name = f"swarmd_{client.base_url.port}"
        for cookies in (f'prefs={{"a":1}}; {name}={RIGHT}', f"a b=c; =; {name}={RIGHT}; d"):
            assert (await client.get("/status", headers={"cookie": cookies})).status_code == 200


@pytest.mark.parametrize("header", [f"Bearer {RIGHT}", f"bearer  {RIGHT}"])
async def test_a_scraper_sends_a_header(header, tmp_path) -> None:
    async with browser(tmp_path) as client:
        assert (await client.get("/metrics", headers={"authorization": header})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Basic {RIGHT}"}, {"authorization": "Bearer ü"}, {"cookie": "swarmd_1=\x01;;=,"}],
)
async def test_other_headers_do_not_open_it(headers, tmp_path) -> None:
    async with browser(tmp_path) as client:
        raw = {name: value.encode() for name, value in headers.items()}
        assert (await client.get("/metrics", headers=raw)).status_code in (400, 401)


def test_the_settings_on_the_page_never_show_it(tmp_path) -> None:
    config = Config(home=tmp_path, observe=ObserveConfig(http_token=RIGHT), steps=3)
    shown = settings_view(config, ("cpu because there is no GPU",))
    assert RIGHT not in json.dumps(shown)
    assert shown["changed"] == ["home", "steps"]
    assert shown["plan"] == {"reasons": ["cpu because there is no GPU"]}
    assert shown["settings"]["learning"]["local"] == 4
