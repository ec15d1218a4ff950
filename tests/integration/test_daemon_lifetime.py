"""One daemon's lives: it trains, answers, stops, resumes and loses nothing. Real processes and model."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable

import pytest

from tests.integration.daemon_process import DaemonProcess, left_running, swarmd

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(400)]

Join = Callable[..., DaemonProcess]

FILE_BYTES_MAX = 2 * 2**20  # room for the database and the key; the embedded model's weights take 5 MiB


def checkpoints(daemon: DaemonProcess) -> list[str]:
    """Names of the whole checkpoints, oldest first."""
    return sorted(path.name for path in daemon.home.checkpoints_path.iterdir() if path.name[0].isdigit())


def assert_quiet(daemon: DaemonProcess) -> None:
    """Nothing that a person would take for a failure."""
    assert daemon.stderr == "", daemon.describe()
    text = json.dumps(daemon.events)
    assert "Traceback" not in text
    assert "Exception" not in text


def test_it_trains_and_answers_until_ctrl_c_and_its_home_is_its_own(join: Join):
    daemon = join("home")
    daemon.wait_for_step(1)
    intruder = join("home")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        unlucky = join("other", "--port", str(port))
        assert unlucky.wait() == 2, unlucky.describe()
    assert unlucky.stderr.startswith(f"error: cannot listen on TCP port {port}")
    assert "--port" in unlucky.stderr
    assert "Traceback" not in unlucky.stderr

    assert intruder.wait() == 2, intruder.describe()
    assert intruder.stderr.startswith("error: home ")
    assert f"pid {daemon.pid}" in intruder.stderr
    assert "Traceback" not in intruder.stderr

    answer = swarmd("status", "--home", str(daemon.home.path), "--json")
    assert answer.returncode == 0, answer.stderr
    status = json.loads(answer.stdout)
    assert status["health"] == {"ok": True, "reasons": []}
    assert status["peer_id"] == daemon.wait_for("started")["peer_id"]
    assert status["swarm"] == "starter"
    assert status["step"] >= 1
    assert (status["model"], status["device"], status["lora"]) == ("embedded", "cpu", None)
    assert status["addresses"][0] == daemon.address
    assert status["groups"]["own"] >= 4
    assert 0 <= status["reward"]["last"] <= 1
    assert status["peers"] == []
    assert status["pid"] == daemon.pid

    children = daemon.children()
    assert {"p2pd"} <= {child.name() for child in children}
    daemon.interrupt()
    assert daemon.wait() == 0, daemon.describe()
    steps = [event["step"] for event in daemon.named("step")]
    assert daemon.named("checkpoint")[-1]["step"] == steps[-1]
    assert daemon.events[-1]["event"] == "stopped"
    assert daemon.events[-1]["step"] == steps[-1]
    assert checkpoints(daemon)[-1].endswith(f"-step-{steps[-1]}")
    assert left_running(children) == []
    assert_quiet(daemon)

    after = swarmd("status", "--home", str(daemon.home.path))
    assert after.returncode == 3
    assert "no daemon is running" in after.stderr


def test_it_goes_on_from_its_checkpoints_past_a_corrupt_one_and_keeps_them_on_a_full_disk(join: Join):
    first = join("home", "--steps", "2", "--checkpoint-every", "1")
    assert first.wait() == 0, first.describe()
    assert [event["step"] for event in first.named("step")] == [1, 2]
    assert_quiet(first)

    newest = first.home.checkpoints_path / checkpoints(first)[-1]
    weights = bytearray((newest / "weights.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (newest / "weights.safetensors").write_bytes(weights)
    second = join("home", "--steps", "2")
    assert second.wait() == 0, second.describe()
    damaged, behind = [event["message"] for event in second.named("warning")]
    assert f"{newest} is damaged: weights.safetensors does not match its hash" in damaged
    assert "falling back to the one before" in behind
    assert newest.with_name(f"damaged-{newest.name}").is_dir()
    assert second.wait_for("resumed")["step"] == 1
    assert [event["step"] for event in second.named("step")] == [2, 3]
    assert_quiet(second)
    assert second.wait_for("started")["peer_id"] == first.wait_for("started")["peer_id"]

    before = checkpoints(second)
    third = join("home", "--steps", "2", prefix=("prlimit", f"--fsize={FILE_BYTES_MAX}"))
    assert third.wait() == 1, third.describe()
    assert third.wait_for("resumed")["step"] == 3
    assert third.stderr.startswith("error: cannot save the checkpoint ")
    assert "earlier ones are intact" in third.stderr
    assert "ulimit -f" in third.stderr
    assert "Traceback" not in third.stderr
    assert checkpoints(third) == before


def test_killed_in_the_middle_of_a_step_it_repeats_that_step_and_leaves_nothing_running(join: Join):
    first = join("home", "--checkpoint-every", "1")
    first.wait_for("checkpoint", lambda event: event["step"] == 2)
    first.wait_for("phase", lambda event: event["name"] == "generating" and event["done"] > 0)
    children = first.children()
    assert len(children) >= 2
    first.kill()
    assert left_running(children) == []
    saved = max(int(name.rpartition("-")[2]) for name in checkpoints(first))
    done = max(event["step"] for event in first.named("step"))

    second = join("home")
    assert second.wait_for("resumed")["step"] == saved
    assert saved >= done - 1
    assert second.wait_for_step(saved + 1)["step"] == saved + 1
    assert second.address == first.address, "the port is kept, so that addresses others remember stay true"
    children = second.children()
    second.terminate()
    assert second.wait() == 0, second.describe()
    assert second.named("checkpoint")[-1]["step"] == second.named("step")[-1]["step"]
    assert left_running(children) == []
    assert_quiet(second)


def test_ctrl_c_before_the_first_step_and_ctrl_c_twice(join: Join):
    early, hasty = join("early"), join("hasty")
    early.wait_for("started")
    early.interrupt()
    assert early.wait() == 0, early.describe()
    assert early.events[-1]["event"] == "stopped"
    assert early.named("step") == []
    assert_quiet(early)

    hasty.wait_for("checkpoint")
    children = hasty.children()
    [p2pd] = [child for child in children if child.name() == "p2pd"]
    p2pd.suspend()  # so that an orderly end takes seconds
    hasty.interrupt()
    hasty.wait_for("stopping")
    hasty.interrupt()
    assert hasty.wait() == 130, hasty.describe()
    assert hasty.named("stopped") == []
    assert hasty.stderr == ""
    p2pd.resume()
    assert left_running(children) == []
    assert checkpoints(hasty), "the checkpoints of the steps that were done are whole"


def test_a_peer_that_a_fault_or_the_system_ends_is_started_again_and_does_the_steps_asked_for(join: Join):
    daemon = join("home", "--steps", "12")
    daemon.wait_for("checkpoint")
    os.kill(daemon.pid, signal.SIGSEGV)
    resumed = daemon.wait_for("resumed")["step"]
    assert resumed >= 1
    daemon.wait_for("checkpoint", lambda event: event["step"] > resumed)
    os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.wait(400) == 0, daemon.describe()
    assert daemon.events[-1] == daemon.named("stopped")[0]
    assert daemon.events[-1]["step"] == 12, "--steps counts over all lives"
    assert len(daemon.named("started")) == 3
    told = [event["message"] for event in daemon.named("warning") if "started again" in event["message"]]
    assert len(told) == 2
    assert "ended by SIGSEGV" in told[0]
    assert "was killed" in told[1]
    assert "Fatal Python error: Segmentation fault" in daemon.stderr
    assert "(2 times so far)" in daemon.stderr
