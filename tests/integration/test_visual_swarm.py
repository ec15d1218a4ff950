"""Two daemons on the visual swarm: only answers travel, and each draws the other's pictures again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, has_exchanged, stop_all, wait_until

START_S = 600.0


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_daemons_learn_from_one_anothers_answers_about_pictures(
    join: Callable[..., DaemonProcess],
) -> None:
    first = join("first", "--swarm", "visual")
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", "--swarm", "visual", "--peer", first.address)
    for status in wait_until([first, second], has_exchanged, 600):
        assert status.swarm == "visual"
        assert not {"question", "signature", "task", "version", "scorer"} & status.groups.rejected.keys()
    stop_all([first, second])
    assert_no_exception([first, second])
