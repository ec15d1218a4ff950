"""swarmd doctor: one line per thing that a peer needs, with a remedy, and the plan with its reasons."""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest

from swarmd import observe
from swarmd.cli import diagnosis, doctor
from swarmd.cli.diagnosis import Check, Patient, diagnose
from swarmd.config import load_config
from swarmd.fleet import prepare_homes
from swarmd.fleet.devices import Device
from swarmd.hardware import probe
from swarmd.observe import Health, PeerView, ReachView, StartingError
from swarmd.storage import Database, Home
from tests.cli.test_status import SNAPSHOT


def states(checks) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def patient_with(tmp_path, status=None, **settings) -> Patient:
    home = Home.open(tmp_path / "h")
    return Patient(home, load_config(home.path, settings), status)


def test_without_a_home_and_a_daemon_it_says_what_a_start_would_find(swarmd, tmp_path) -> None:
    outcome = swarmd("doctor", "--home", tmp_path / "none", "--json")
    found = json.loads(outcome.out)
    by_name = {check["name"]: check for check in found["checks"]}
    assert not (tmp_path / "none").exists()
    assert "`swarmd join` creates it" in by_name["home"]["detail"]
    assert by_name["model"]["detail"].startswith("embedded on cpu") or by_name["device"]["state"] == "ok"
    assert {"clock", "port", "reachability", "disk", "open files", "hub", "memory", "sandbox"} <= set(by_name)
    assert any("threads" in reason or "thread" in reason for reason in found["plan"])
    assert outcome.code == (0 if found["ok"] else 1)


def test_a_running_daemon_is_asked_and_no_library_is_loaded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(diagnosis, "_plan", lambda _: pytest.fail("it would load torch"))
    status = SNAPSHOT.model_copy(
        update={"health": Health(ok=True), "plan": ("cpu because it was asked for",)}
    )
    found = diagnose(patient_with(tmp_path, status))
    assert states(found.checks)["health"] == "ok"
    assert found.plan == ("cpu because it was asked for",)


def test_what_the_daemon_complains_of_is_a_failure_with_its_remedy(tmp_path) -> None:
    reasons = (
        "no contact with other peers: none of 2 known peers has answered for 31 s; "
        "check this machine's network",
        "this machine's clock is 9 s behind most peers",
        "no step for 700 s (now: training); see the log",
    )
    found = diagnose(
        patient_with(tmp_path, SNAPSHOT.model_copy(update={"health": Health(ok=False, reasons=reasons)}))
    )
    by_name = {check.name: check for check in found.checks}
    assert not found.ok
    assert by_name["reachability"].remedy == "check this machine's network"
    assert by_name["clock"].state == "fail"
    assert by_name["health"] == Check("health", "fail", "no step for 700 s (now: training)", "see the log")


def test_a_port_that_was_asked_for_and_is_taken_fails(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = diagnosis._port(patient_with(tmp_path, network={"host": "127.0.0.1", "port": port}))
    assert found.state == "fail"
    assert str(port) in found.detail


def test_the_port_of_a_daemon_that_is_still_starting_is_not_called_taken(tmp_path, monkeypatch) -> None:
    def still_starting(*_):
        raise StartingError("the daemon in h is starting for 20 s: loading the model")

    monkeypatch.setattr(observe, "ask_status", still_starting)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        home = Home.open(tmp_path / "h")
        (home.path / "config.toml").write_text(
            f'[network]\nhost = "127.0.0.1"\nport = {taken.getsockname()[1]}\n'
        )
        patient = doctor._patient(home.path)
        for check in (diagnosis._port(patient), diagnosis._reachability(patient)):
            assert (check.state, check.detail) == ("ok", f"not known yet: {patient.starting}")


def test_the_database_is_checked_with_what_to_do(tmp_path) -> None:
    patient = patient_with(tmp_path)
    path = patient.home.database_path
    assert diagnosis._database(patient).detail == "there is none yet: the first start creates it"
    Database(path).close()
    assert diagnosis._database(patient).state == "ok"
    path.write_bytes(b"damaged " * 1000)
    damaged = diagnosis._database(patient)
    assert damaged.state == "warn", "a start replaces it"
    assert damaged.detail.startswith(f"{path}: it is damaged (")
    assert "damaged-swarmd.db" in damaged.remedy
    path.unlink()
    path.mkdir()
    assert diagnosis._database(patient) == Check(
        "database", "fail", f"{path}: it is not a file", "move it away"
    )


@pytest.mark.parametrize("is_there", [True, False])
def test_a_home_that_this_user_may_not_write_is_told(tmp_path, monkeypatch, is_there) -> None:
    patient = patient_with(tmp_path)
    if not is_there:
        patient = replace(patient, home=Home(tmp_path / "none" / "yet"))
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    found = diagnosis._home(patient)
    assert (found.state, found.remedy) == (
        "fail",
        "give this user read and write permission there, or choose another --home",
    )
    assert found.detail.startswith(f"{patient.home.path} cannot be ")
    assert found.detail.endswith(": permission denied")


def test_a_home_below_a_file_is_told(tmp_path) -> None:
    (tmp_path / "file").touch()
    patient = replace(patient_with(tmp_path), home=Home(tmp_path / "file" / "home"))
    assert diagnosis._home(patient).detail.endswith(f"{tmp_path / 'file'} is a file")


def test_a_home_that_this_user_may_not_look_into_is_told(tmp_path, monkeypatch) -> None:
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(diagnosis, "trouble_of", refuse)
    found = diagnosis._database(patient_with(tmp_path))
    assert found.state == "fail"
    assert found.detail.endswith("cannot be read: permission denied")
    assert found.remedy == "give this user read and write permission there, or choose another --home"


@pytest.mark.parametrize(("free", "state"), [(1e8, "fail"), (1e9, "warn"), (1e11, "ok")])
def test_a_full_disk_is_told_before_it_stops_the_peer(tmp_path, monkeypatch, free, state) -> None:
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert diagnosis._disk(patient_with(tmp_path)).state == state


def test_a_wrong_model_fails_with_what_to_use(tmp_path) -> None:
    [check], _ = diagnosis._plan(patient_with(tmp_path, policy={"model": "./nowhere"}))
    assert check.state == "fail"
    assert "use embedded" in check.detail


@pytest.mark.parametrize(("device", "begins"), [("cpu", "cpu, as set: "), ("auto", "cuda:0 (A100)")])
def test_accelerators_are_left_alone_if_the_cpu_was_asked_for(tmp_path, monkeypatch, device, begins) -> None:
    whole = probe.probe_hardware

    def probe_hardware(*, accelerators: bool = True) -> probe.HardwareProbe:
        found = (probe.Accelerator("cuda:0", "A100", 0, bfloat16=True),) if accelerators else ()
        return replace(whole(accelerators=False), accelerators=found)

    monkeypatch.setattr(probe, "probe_hardware", probe_hardware)
    [check, *_], _ = diagnosis._plan(patient_with(tmp_path, policy={"device": device}))
    assert check.name == "device"
    assert check.detail.startswith(begins)


def test_a_hub_that_cannot_be_reached_is_a_warning(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert diagnosis._hub(patient_with(tmp_path, policy={"model": "a/b"})).state == "warn"
    assert diagnosis._hub(patient_with(tmp_path)).detail == "not needed: the model embedded is on this disk"


def test_settings_that_cannot_be_read_are_the_only_finding(swarmd, tmp_path) -> None:
    (tmp_path / "config.toml").write_text("locl = 1\n")
    outcome = swarmd("doctor", "--home", tmp_path)
    assert outcome.code == 1
    assert "locl: unknown" in outcome.out
    assert f"`swarmd config check --home {tmp_path}`" in outcome.out


def test_a_hub_that_is_no_address_is_found_with_the_settings(swarmd, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://h:notaport")
    outcome = swarmd("doctor", "--home", tmp_path)
    assert outcome.code == 1
    assert "HF_ENDPOINT is 'http://h:notaport'" in outcome.out


def test_peers_that_are_gone_are_not_counted_as_seen(tmp_path) -> None:
    peers = (PeerView(peer_id="a"), PeerView(peer_id="b", gone=True))
    status = SNAPSHOT.model_copy(update={"health": Health(ok=True), "peers": peers})
    assert diagnosis._reachability(patient_with(tmp_path, status)).detail == "1 other peer is seen"


def test_a_peer_that_nobody_can_dial_is_a_warning_with_the_remedy(tmp_path) -> None:
    reach = ReachView(state="inline", says="inline only", remedy="forward TCP port 41000")
    status = SNAPSHOT.model_copy(update={"health": Health(ok=True), "reach": reach})
    found = diagnosis._reachability(patient_with(tmp_path, status))
    assert (found.state, found.remedy) == ("warn", "forward TCP port 41000")
    assert found.detail.endswith("inline only")


def test_a_home_that_is_a_file_is_called_one(swarmd, tmp_path) -> None:
    (tmp_path / "file").touch()
    outcome = swarmd("doctor", "--home", tmp_path / "file")
    assert outcome.code == 2
    assert outcome.err == f"error: --home {tmp_path / 'file'} is a file: name a directory\n"


def test_a_home_of_devices_is_refused_with_one_to_name(swarmd, tmp_path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / ".DS_Store").touch()
    prepare_homes(tmp_path, [Device("cuda:1", "cuda:1"), Device("cuda:0", "cuda:0")])
    outcome = swarmd("doctor", "--home", tmp_path)
    assert outcome.code == 2
    assert outcome.err.endswith(f"name one of them, such as --home {tmp_path / 'devices' / 'cuda-0'}\n")
    Home.open(tmp_path)
    [check] = [
        each
        for each in json.loads(swarmd("doctor", "--home", tmp_path, "--json").out)["checks"]
        if each["name"] == "home"
    ]
    assert check["state"] == "ok", "a peer of its own lives there too"


def test_a_long_line_of_the_plan_stays_indented(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    doctor._print(diagnosis.Diagnosis((), ("many words " * 8,)))
    plan = capsys.readouterr().out.split("plan\n")[1].split("\n\n")[0].splitlines()
    assert len(plan) > 1
    assert all(line.startswith(("  many", "  words")) for line in plan)
