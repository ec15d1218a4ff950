"""swarmd observe, up to the point where the observer takes over."""

from __future__ import annotations

import sys

import pytest

from swarmd.config import Config
from swarmd.storage import Home

PEER = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooWHBcFcrGPXKUrHcxvd8MXEeUzRYyvY8fQcpEBxncSUwhj"


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, Home]]:
    """Stands where the observer stands and keeps what it is started with."""
    started: list[tuple[Config, Home]] = []

    class Observer:
        @staticmethod
        def run(config: Config, home: Home) -> int:
            started.append((config, home))
            return 0

    monkeypatch.setitem(sys.modules, "swarmd.observer", Observer)
    return started


def test_it_serves_the_page_on_loopback_from_a_home_of_its_own(swarmd, observer, tmp_path) -> None:
    assert swarmd("observe", "--peer", PEER).code == 0
    [(config, home)] = observer
    assert home.path == config.home == tmp_path / ".swarmd-observer"
    assert config.observe.http == "127.0.0.1:8080"
    assert config.network.peers == (PEER,)


def test_an_address_and_a_token_may_be_given(swarmd, observer, tmp_path) -> None:
    given = ("--http", "0.0.0.0:9000", "--http-token", "a-long-enough-token")
    assert swarmd("observe", "--peer", PEER, "--home", tmp_path / "o", *given).code == 0
    [(config, _)] = observer
    assert (config.observe.http, config.observe.http_token) == ("0.0.0.0:9000", "a-long-enough-token")


def test_without_a_peer_the_error_shows_how_to_name_one(swarmd, observer) -> None:
    outcome = swarmd("observe")
    assert outcome.code == 2
    assert "error: name a peer of the swarm to observe: --peer /ip4/" in outcome.err
    assert observer == []


def test_a_short_token_is_refused(swarmd, observer) -> None:
    outcome = swarmd("observe", "--peer", PEER, "--http-token", "short")
    assert outcome.code == 2
    assert "http_token" in outcome.err
    assert observer == []
