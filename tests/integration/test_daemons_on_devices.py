"""One command, a peer per device: real daemons, two on the cpu."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.integration.daemon_process import DaemonProcess, left_running, swarmd


@pytest.mark.daemon
@pytest.mark.timeout(300)
def test_two_peers_from_one_command_meet_and_stop_together(join: Callable[..., DaemonProcess]):
    both = join("home", "--devices", "cpu,cpu")
    assert both.wait_for("joined", lambda event: event["on"] == "cpu:1")["peers"] == 1
    both.wait_for("step", lambda event: event["on"] == "cpu:1")
    both.wait_for("step", lambda event: event["on"] == "cpu:0")

    answer = swarmd("status", "--home", str(both.home.path), "--json")
    assert answer.returncode == 0, answer.stderr
    devices = json.loads(answer.stdout)["devices"]
    assert {name: status["device"] for name, status in devices.items()} == {"cpu-0": "cpu", "cpu-1": "cpu"}
    assert len({status["peer_id"] for status in devices.values()}) == 2
    assert {status["swarm"] for status in devices.values()} == {"starter"}

    children = both.children()
    both.interrupt()
    assert both.wait() == 0, both.describe()
    for name in ("cpu:0", "cpu:1"):
        last = max(event["step"] for event in both.named("step") if event["on"] == name)
        assert [event["step"] for event in both.named("checkpoint") if event["on"] == name][-1] == last
        assert [event["step"] for event in both.named("stopped") if event["on"] == name] == [last]
    assert left_running(children) == []
    assert both.stderr.startswith("stopping: ")
    assert "Traceback" not in both.stderr
