"""An observer asks the peers given which swarm they are in, and says in one error why it cannot observe."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from swarmd.config import Config, NetworkConfig, ObserveConfig
from swarmd.errors import NetworkError
from swarmd.network import MemoryHub, run_simulated, simulated_wall_clock
from swarmd.observer import runtime
from swarmd.observer.runtime import find_swarm
from swarmd.storage import Home
from tests.gossip.making import key, make_manifest

MANIFEST = make_manifest()
NOBODY = f"/ip4/127.0.0.1/tcp/9/p2p/{key(9).peer_id}"


def test_the_first_peer_that_answers_names_the_swarm() -> None:
    async def main() -> None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        member, observer = hub.network(key(1)), hub.network(key(2), lambda: None)
        member.serve(bodies=lambda _digest: None, manifest=MANIFEST.to_bytes())
        address = member.addresses[0]
        assert await find_swarm(observer, [NOBODY, address], print) == (address, MANIFEST)

    run_simulated(main())


def test_nobody_and_nonsense_are_one_error_that_says_what_each_did() -> None:
    async def main() -> None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        liar, observer = hub.network(key(1)), hub.network(key(2), lambda: None)
        liar.serve(bodies=lambda _digest: None, manifest=b"nonsense")
        with pytest.raises(
            NetworkError, match=r"cannot observe: none of the given peers answers\. Check"
        ) as caught:
            await find_swarm(observer, [NOBODY, liar.addresses[0]], print)
        assert NOBODY in str(caught.value)
        assert liar.addresses[0] in str(caught.value)

    run_simulated(main())


def test_a_peer_that_is_restarting_is_waited_for_and_that_is_said_once() -> None:
    async def main() -> None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        member, observer = hub.network(key(1)), hub.network(key(2), lambda: None)
        address, said = member.addresses[0], list[str]()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(find_swarm(observer, [address], said.append))
            await asyncio.sleep(30)
            assert not asking.done()
            member.serve(bodies=lambda _digest: None, manifest=MANIFEST.to_bytes())
        assert asking.result() == (address, MANIFEST)
        [line] = said
        assert line.startswith("no answer yet, trying for 60 s in case a peer is restarting: ")
        assert address in line

    run_simulated(main())


@pytest.mark.p2p
def test_an_address_where_nobody_listens_ends_it_with_one_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "PATIENCE_S", 0.0)
    config = Config(home=tmp_path, network=NetworkConfig(host="127.0.0.1", peers=(NOBODY,)))
    with pytest.raises(NetworkError, match="cannot observe") as caught:
        runtime.run(config, Home.open(tmp_path))
    assert NOBODY in str(caught.value)


def test_a_run_that_finds_nobody_has_told_its_new_token(tmp_path: Path, monkeypatch, capsys) -> None:
    async def fail(*_: object) -> None:
        raise NetworkError("nobody answers")

    monkeypatch.setattr(runtime._Observer, "_watch", fail)
    config = Config(home=tmp_path, observe=ObserveConfig(http="0.0.0.0:0"))
    with pytest.raises(NetworkError, match="nobody answers"):
        runtime.run(config, Home.open(tmp_path))
    token = (tmp_path / "http-token").read_text().strip()
    told = capsys.readouterr()
    assert f"/?token={token}\n" in told.err
    assert token not in told.out


def test_a_terminal_that_hangs_up_twice_stops_an_observer_in_good_order(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.parent.stops.AGAIN_S", float("inf"))  # however slow this machine is
    exits, handled = list[int](), asyncio.Event()
    on_signal = runtime._Observer._on_signal

    def note(observer: runtime._Observer, number: int) -> None:
        on_signal(observer, number)
        handled.set()

    async def watch(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        try:
            await asyncio.Event().wait()
        finally:
            handled.clear()
            os.kill(os.getpid(), signal.SIGHUP)
            await handled.wait()

    monkeypatch.setattr(os, "_exit", exits.append)
    monkeypatch.setattr(runtime._Observer, "_on_signal", note)
    monkeypatch.setattr(runtime._Observer, "_watch", watch)
    assert runtime.run(Config(home=tmp_path), Home.open(tmp_path)) == 0
    assert exits == []
