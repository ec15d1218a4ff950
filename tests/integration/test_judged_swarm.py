"""Two daemons without a verifier: each votes on the other's answers, and learns from what both agree on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, has_exchanged, stop_all, wait_until

START_S = 600.0  # of a daemon on a busy machine

SWARM = """
name = "agreed"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "exact"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
dataset = "gcd"
[tasks.config]
min_numbers = 2
max_numbers = 2
min_value = 1
max_value = 60
[[tasks.judges]]
kind = "agreement"
questions = 16
"""


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_daemons_judge_one_another_by_agreement_and_use_their_groups(
    join: Callable[..., DaemonProcess], tmp_path: Path
) -> None:
    (tmp_path / "agreed.toml").write_text(SWARM)
    swarm = ("--swarm", str(tmp_path / "agreed.toml"))
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)
    for status in wait_until([first, second], has_exchanged, 600):
        [judged] = status.judges
        assert judged.judges == ("agreement",)
        assert judged.completions > 0
        assert judged.truth is not None
        refusals = {"question", "signature", "task", "scorer", "uninformative"}
        assert not refusals & status.groups.rejected.keys()
        assert status.judgement.points_lost == {}
    stop_all([first, second])
    assert_no_exception([first, second])
