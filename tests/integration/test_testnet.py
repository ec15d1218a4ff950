"""`swarmd testnet` with real daemons: it does its steps, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.daemon_process import ONE_THREAD, SPARING, left_running

RUN_S = 500.0  # three starts on two cores that also run other tests; a quiet machine takes a minute


class Testnet:
    """One run of the command, with a temporary directory of its own for it and all of its daemons."""

    __test__ = False  # its name begins like a test's

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.temporary = directory / "t"  # short: sockets go in here
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swarmd", "testnet", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, **SPARING, "TMPDIR": str(self.temporary)},
            start_new_session=True,
        )

    def read_until(self, text: str) -> list[psutil.Process]:
        """Read its standard error up to a line that ends so; returns the processes that it has then."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.rstrip().endswith(text):
                return psutil.Process(self.process.pid).children(recursive=True)
        raise AssertionError(f"it never said {text!r}")

    def end(self) -> tuple[str, str]:
        """Its output when it has ended."""
        return self.process.communicate(timeout=RUN_S)


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("n")


@pytest.mark.daemon
@pytest.mark.timeout(2 * RUN_S)
def test_three_peers_do_their_steps_and_leave_no_process_socket_or_file(short_path: Path) -> None:
    testnet = Testnet(short_path, "--peers", "3", "--steps", "3", "--json", "-")
    try:
        running = testnet.read_until("all 3 peers are up")
        assert len(running) >= 3 * 3  # parent, peer, p2pd, and by now most of their workers
        out, err = testnet.end()
    finally:
        testnet.process.kill()
    assert testnet.process.returncode == 0, err
    summary = json.loads(out)
    assert [(peer["steps"], peer["end"], peer["starts"]) for peer in summary["peers"]] == [(3, "done", 1)] * 3
    assert len({peer["peer_id"] for peer in summary["peers"]}) == 3
    assert all(0.0 <= peer["reward"]["now"] <= 1.0 for peer in summary["peers"])
    assert (summary["failed"], summary["faults"], summary["attackers"]) == ([], [], None)
    assert "Traceback" not in err
    assert left_running(running) == []
    assert list(testnet.temporary.iterdir()) == []


@pytest.mark.daemon
@pytest.mark.timeout(2 * RUN_S)
def test_a_stop_saves_the_homes_that_are_kept_and_leaves_nothing_else(short_path: Path) -> None:
    home = short_path / "net"
    testnet = Testnet(short_path, "--peers", "2", "--json", "-", "--home", str(home))
    try:
        running = testnet.read_until("all 2 peers are up")
        testnet.process.send_signal(signal.SIGTERM)
        out, err = testnet.end()
    finally:
        testnet.process.kill()
    assert testnet.process.returncode == 0, err
    assert {peer["end"] for peer in json.loads(out)["peers"]} == {"stopped"}
    assert left_running(running) == []
    assert list(testnet.temporary.iterdir()) == []
    for number in (1, 2):
        kept = {path.name for path in (home / f"peer-{number}").iterdir()}
        assert {"identity.key", "manifest.cbor", "swarmd.db"} <= kept
        assert "swarmd.sock" not in kept
