"""`swarmd testnet`: everything that cannot work is said before anything is made or loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swarmd import exit_codes
from swarmd.cli.app import main
from swarmd.errors import SwarmdError
from swarmd.testnet import capacity
from swarmd.testnet.asked import Asked
from swarmd.testnet.running import Outcome
from swarmd.testnet.summary import Summary


def refused(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["testnet", *arguments])
    assert ended.value.code == exit_codes.MISUSED


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--models", "embedded,nosuch"), "--models 'nosuch' is neither a directory nor a hub id"),
        (("--models", "embedded,,"), "contains an empty name"),
        (("--models", ",".join("abcdefghi")), "--models names 9 models: at most 8"),
        (("--attackers", "1", "--attack", "foo"), "--attack 'foo' is not known: use draws-50"),
        (("--attack", "draws-50"), "also give --attackers K"),
        (("--swarm", "startr"), "did you mean 'starter'?"),
        (("--swarm", "ab" * 32), "nobody to ask what the swarm abababababab is"),
        (("--device", "gpu"), "--device 'gpu' is not known"),
        (("--memory-limit", "10MB"), "is less than PyTorch alone needs"),
        (("--local", "-1"), "--local"),
        (("--json", "/nonexistent/a.json"), "there is no directory /nonexistent"),
        (("--json", "/tmp"), "--json /tmp is a directory"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(*arguments)
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [("--peers", "1"), ("--peers", "65"), ("--seconds", "0"), ("--attackers", "9"), ("--attackers", "-1")],
)
def test_numbers_out_of_range_are_refused_with_the_range(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(*arguments)
    assert arguments[0] in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused("--http", f"127.0.0.1:{port}")
    assert f"cannot listen on TCP port {port}" in capsys.readouterr().err


def test_more_peers_than_memory_allows_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "capacity", lambda: capacity.Capacity(cores=2, free_bytes=4 * 2**30))
    refused("--peers", "64")
    assert "--peers 64: they need about" in capsys.readouterr().err


def test_a_directory_that_is_no_testnets_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "identity.key").touch()
    refused("--home", str(mine))
    assert "contains 'identity.key', which no testnet made" in capsys.readouterr().err
    assert [each.name for each in mine.iterdir()] == ["identity.key"]


def test_a_model_may_be_a_directory_and_is_found_again_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Asked] = []

    def play(asked: Asked, directory: Path, *, to_stderr: bool) -> None:
        played.append(asked)
        raise SystemExit(exit_codes.DONE)

    monkeypatch.setattr("swarmd.cli.testnet._play", play)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the handlers of a real run would stay
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "embedded"):  # a directory hides no model that comes with swarmd
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    with pytest.raises(SystemExit):
        main(["testnet", "--peers", "2", "--models", "embedded,./mine"])
    assert played[0].models == ("embedded", str(tmp_path / "mine"))


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (
            None,
            exit_codes.DISK_FULL,
            "error: cannot write --json /dev/full: no space left on device; free some",
        ),
        (SwarmdError("1 of 2 peers failed"), exit_codes.FAILED, "warning: cannot write --json /dev/full: no"),
    ],
)
def test_a_summary_that_cannot_be_written_is_a_failure(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: SwarmdError | None,
    code: int,
    said: str,
) -> None:
    outcome = Outcome(Summary(0.0, (), (), None, ()), exit_codes.DONE, failure)
    monkeypatch.setattr("swarmd.cli.testnet._play", lambda *_, **__: outcome)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the handlers of a real run would stay
    with pytest.raises(SystemExit) as ended:
        main(["testnet", "--peers", "2", "--json", "/dev/full"])
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_a_refusal_loads_neither_torch_nor_the_network() -> None:
    code = (
        "import sys\nfrom swarmd.__main__ import main\n"
        "sys.argv = ['swarmd', 'testnet', '--models', 'nosuch']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=dict(os.environ)
    )
    loaded = set(done.stdout.split())
    assert loaded & {"torch", "transformers", "numpy"} == set()
    assert [name for name in loaded if name.startswith("hivemind.")] == []
