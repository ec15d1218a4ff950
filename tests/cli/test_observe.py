"""swarmd observe, up to the point where the observer takes over."""

from __future__ import annotations

import socket
import sys

import pytest

from swarmd.config import Config
from swarmd.names import named
from swarmd.observe import PeerView, Ranked, StatusSnapshot, SwarmView
from swarmd.storage import Home
from tests.cli.test_status import daemon_in
from tests.observe import made_up_peer

PEER = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooWHBcFcrGPXKUrHcxvd8MXEeUzRYyvY8fQcpEBxncSUwhj"

SOMEBODY = PEER.rpartition("/")[2]


def observing(view: SwarmView, peers: tuple[PeerView, ...]) -> StatusSnapshot:
    """What an observer of the swarm says."""
    changes = {"swarm_view": view, "peers": peers, "phase": "observing", "join_command": None}
    return made_up_peer.SNAPSHOT.model_copy(update=changes)


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


@pytest.fixture
def ports_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs on this machine."""
    monkeypatch.setattr("swarmd.cli.observe.foresee_ports", lambda _: None)


@pytest.mark.usefixtures("ports_free")
def test_it_serves_the_page_on_loopback_from_a_home_of_its_own(swarmd, observer, tmp_path) -> None:
    assert swarmd("observe", "--peer", PEER).code == 0
    [(config, home)] = observer
    assert home.path == config.home == tmp_path / ".swarmd-observer"
    assert config.observe.http == "127.0.0.1:8080"
    assert config.network.peers == (PEER,)


@pytest.mark.usefixtures("ports_free")
def test_an_address_and_a_token_may_be_given(swarmd, observer, tmp_path) -> None:
    given = ("--http", "0.0.0.0:9000", "--http-token", "a-long-enough-token")
    assert swarmd("observe", "--peer", PEER, "--home", tmp_path / "o", *given).code == 0
    [(config, _)] = observer
    assert (config.observe.http, config.observe.http_token) == ("0.0.0.0:9000", "a-long-enough-token")


@pytest.mark.usefixtures("ports_free")
def test_a_variable_names_the_address_as_a_flag_does(swarmd, observer, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_OBSERVE__HTTP", "0.0.0.0:9000")
    assert swarmd("observe", "--peer", PEER, "--http-token", "a-long-enough-token").code == 0
    [(config, _)] = observer
    assert config.observe.http == "0.0.0.0:9000"


@pytest.mark.usefixtures("ports_free")
def test_in_a_terminal_it_prints_lines_unless_somebody_said_otherwise(
    swarmd, observer, monkeypatch, tmp_path
) -> None:
    def chosen(*flags: str) -> str:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        assert swarmd("observe", "--peer", PEER, "--home", tmp_path / "o", *flags).code == 0
        return observer[-1][0].observe.log_format

    assert chosen() == "console"
    (tmp_path / "o").mkdir(exist_ok=True)
    (tmp_path / "o" / "config.toml").write_text("[observe]\nlog_format = 'json'\n")
    assert chosen() == "json"
    monkeypatch.setenv("SWARMD_OBSERVE__LOG_FORMAT", "console")
    assert chosen() == "console"
    assert chosen("--log-format", "json") == "json"


@pytest.mark.usefixtures("ports_free")
def test_it_says_at_once_what_is_loaded_and_what_comes_next(swarmd, observer) -> None:
    outcome = swarmd("observe", "--peer", PEER)
    assert outcome.err == (
        "loading the network, some seconds; then asking the given peers which swarm they are in\n"
    )
    assert outcome.out == ""


def test_without_a_peer_the_error_shows_how_to_name_one(swarmd, observer) -> None:
    outcome = swarmd("observe")
    assert outcome.code == 2
    assert "error: name a peer of the swarm to observe: --peer /ip4/" in outcome.err
    assert observer == []


def test_a_port_in_use_and_a_home_in_use_are_said_before_the_network_is_loaded(
    swarmd, observer, tmp_path
) -> None:
    given = ("observe", "--peer", PEER, "--home", tmp_path / "o")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = swarmd(*given, "--http", f"127.0.0.1:{port}")
        assert (outcome.code, f"cannot listen on TCP port {port}" in outcome.err) == (2, True)
        outcome = swarmd(*given, "--host", "127.0.0.1", "--port", port)
        assert (outcome.code, f"cannot listen on TCP port {port}" in outcome.err) == (2, True)
    with Home.open(tmp_path / "o").lock():
        assert swarmd(*given).code == 2
    assert observer == []


def test_status_in_its_home_shows_what_an_observer_knows(swarmd, tmp_path) -> None:
    ranked = Ranked(peer_id=SOMEBODY, groups=12, success=0.5, interval=(0.3, 0.7), claimed=0.9)
    view = SwarmView(board=(ranked,), models={"[b]m\x1b": 1}, groups_scored=12, connections=1)
    peer = PeerView(peer_id=SOMEBODY, last_seen=0.0, model="m")
    with daemon_in(tmp_path, observing(view, (peer,))):
        outcome = swarmd("status", "--home", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "observes starter, without training" in outcome.out
    assert "1 here now, 1 connected" in outcome.out
    assert f"{named(SOMEBODY)} " in outcome.out
    assert "0.500" in outcome.out
    assert "0.900" in outcome.out
    assert "\x1b[" not in outcome.out
    assert "training alone" not in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_its_home_without_an_observer_says_how_to_start_one(swarmd, tmp_path) -> None:
    (tmp_path / "members.db").touch()
    outcome = swarmd("status", "--home", tmp_path)
    assert outcome.code == 3
    assert "no observer is running" in outcome.err
    assert "swarmd observe --home" in outcome.err


def test_a_short_token_is_refused(swarmd, observer) -> None:
    outcome = swarmd("observe", "--peer", PEER, "--http-token", "short")
    assert outcome.code == 2
    assert "http_token" in outcome.err
    assert observer == []
