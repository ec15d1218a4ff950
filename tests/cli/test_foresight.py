"""What is wrong with a command is said before anything heavy is loaded, and before a home is made."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from swarmd.hardware import drivers
from swarmd.storage import Home
from swarmd.tasks import load_manifest
from tests.cli.test_light_commands import loaded

HEAVY = {"torch", "transformers", "hivemind", "starlette", "uvloop", "swarmd.daemon"}


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without GPU, wherever the tests run."""
    monkeypatch.setattr(drivers, "why_no_cuda", lambda: "this machine has no NVIDIA or AMD driver")
    monkeypatch.setattr(drivers, "why_no_mps", lambda: "mps is the GPU of a Mac, and this machine is none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "my-model"], "--model 'my-model' is neither a directory nor a hub id: use embedded"),
        (["--model", "./nowhere"], "--model './nowhere' is neither a directory nor a hub id"),
        (["--model", "."], "--model .: the directory holds no model: config.json is missing"),
        (["--model", "file"], "--model file is a file: give the directory that it is in"),
        (["--model", "x" * 5_000], "cannot be read: File name too long"),
        (["--device", "gpu"], "--device 'gpu' is not known: use auto, cpu, mps, cuda or cuda:N"),
        (["--device", "cuda"], "--device cuda: this machine has no NVIDIA or AMD driver; use --device auto"),
        (["--device", "mps"], "--device mps: mps is the GPU of a Mac"),
        (["--devices", "all"], "--devices all: this machine has no NVIDIA or AMD driver"),
        (["--devices", "cpu,,cpu"], "has an empty name in it"),
        (["--devices", "cuda"], "--devices cuda: name each device, such as cuda:0,cuda:1"),
        (["--devices", "cpu,gpu:0"], "--devices 'gpu:0' is not known"),
        (["--memory-limit", "much"], "'much' is not an amount of memory"),
        (["--device", "cpu", "--memory-limit", "1MB"], "--memory-limit 1MB is less than PyTorch alone needs"),
        (["--swarm", "startr"], "'startr' is neither a preset nor a file; did you mean 'starter'?"),
        (["--swarm", "./no.toml"], "there is no swarm manifest at no.toml"),
        (["--swarm", "bad.toml"], "bad.toml, line 1, nme: unknown key; did you mean 'name'?"),
        (["--swarm", "0" * 64], "nobody to ask what the swarm 000000000000 is"),
        (["--swarm", "dns:no name"], "'dns:no name' is not a DNS name: expected dns:NAME"),
        (["--swarm", "http://example.org/s.toml"], "is not https://, so the server cannot be authenticated"),
        (["--from", "nothing"], "--from nothing: there is nothing: give a directory"),
        (["--address-file", "no/where"], "--address-file no/where: there is no directory no: make it first"),
    ],
)
def test_it_names_what_is_wrong_and_what_to_do(
    swarmd, daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.toml").write_text('nme = "x"\n')
    outcome = swarmd("join", "--home", tmp_path / "h", *arguments)
    assert (outcome.code, daemon) == (2, [])
    assert message in outcome.err
    assert not (tmp_path / "h").exists()


def test_a_home_with_checkpoints_of_its_own_need_not_have_the_one_it_began_with(
    swarmd, daemon, tmp_path: Path
) -> None:
    assert swarmd("init", "--home", tmp_path / "h").code == 0
    checkpoint = tmp_path / "h" / "checkpoints" / "00000001-step-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights.safetensors").touch()
    outcome = swarmd("join", "--home", tmp_path / "h", "--host", "127.0.0.1", "--from", tmp_path / "gone")
    assert "there is nothing" not in outcome.err
    assert len(daemon) == 1


@pytest.mark.parametrize("flag", ["--port", "--http"])
def test_a_port_in_use_is_named_with_its_flag(swarmd, daemon, tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = f"127.0.0.1:{port}" if flag == "--http" else str(port)
        outcome = swarmd("join", "--home", tmp_path / "h", "--host", "127.0.0.1", flag, given)
    assert (outcome.code, daemon) == (2, [])
    assert f"cannot listen on TCP port {port} of 127.0.0.1: Address already in use" in outcome.err
    assert f"Choose another port with {flag}" in outcome.err


def test_a_home_of_another_swarm_is_named(swarmd, daemon, tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h")
    home.write_manifest(load_manifest("sapo").to_bytes())
    for swarm in ("starter", "0" * 64):
        outcome = swarmd("join", "--home", home.path, "--swarm", swarm)
        assert (outcome.code, daemon) == (2, [])
        assert f"home {home.path} belongs to the swarm sapo" in outcome.err
    assert swarmd("join", "--home", home.path, "--swarm", "sapo").code == 0


def test_a_home_in_use_is_named_before_its_port(swarmd, daemon, tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h")
    with home.lock():
        outcome = swarmd("join", "--home", home.path)
    assert (outcome.code, daemon) == (2, [])
    assert "is used by a running swarmd" in outcome.err


def test_a_home_goes_on_with_its_relative_model_from_anywhere(swarmd, daemon, tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h")
    (home.checkpoints_path / "00000001-step-1").mkdir()
    assert swarmd("join", "--home", home.path, "--model", "./model").code == 0


def test_nothing_heavy_is_loaded_by_then(tmp_path: Path) -> None:
    assert loaded(["join", "--home", str(tmp_path), "--swarm", "startr"]) & HEAVY == set()
    assert loaded(["join", "--home", str(tmp_path), "--model", "./nowhere"]) & HEAVY == set()


def test_a_build_of_pytorch_for_cpus_has_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(drivers, "version", lambda _: "2.13.0+cpu")
    assert drivers.why_no_cuda() == "the installed PyTorch is the CPU-only build"


def test_a_driver_s_files_leave_it_open_whether_there_is_a_device(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(drivers, "version", lambda _: "2.13.0")
    (tmp_path / "nvidiactl").write_text("")
    assert drivers.why_no_cuda((str(tmp_path / "nvidiactl"),)) is None
    assert drivers.why_no_cuda((str(tmp_path / "none"),)) == "this machine has no NVIDIA or AMD driver"
