"""Two daemons whose task is a game of textarena: each plays the other's moves again, and learns from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd.observe import StatusSnapshot
from swarmd.tasks.versions import outside_versions
from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, stop_all, wait_until
from tests.tasks.outside import fake_textarena

START_S = 600.0

SWARM = """
name = "a number to guess"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "partial"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
source = "textarena"
dataset = "{game}"
[tasks.config]
turns = 2
{options}
"""


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("is_real", [False, True])
def test_two_daemons_play_one_anothers_games_again_and_use_their_groups(
    is_real: bool, join: Callable[..., DaemonProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_real and "textarena" not in outside_versions():
        pytest.skip("textarena is not installed")
    game, options = "GuessTheNumber-v0", "max_number = 3"
    if not is_real:
        game, options = "Guess-v0", "largest = 9"
        packages = tmp_path / "site-packages"
        fake_textarena.install(packages)
        inherited = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
        monkeypatch.setenv("PYTHONPATH", ":".join([str(packages), *inherited]))
    (tmp_path / "games.toml").write_text(SWARM.format(game=game, options=options))
    # The embedded model has seen no such game, and its texts would go on after their answer.
    swarm = ("--swarm", str(tmp_path / "games.toml"), "--stop", "</answer>")
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)

    def has_exchanged(status: StatusSnapshot) -> bool:
        groups = status.groups
        return min(groups.external_used, groups.published, groups.pulled) > 0

    for status in wait_until([first, second], has_exchanged, 600):
        assert status.swarm == "a number to guess"
        assert not {"question", "signature", "task", "version", "scorer"} & status.groups.rejected.keys()
    stop_all([first, second])
    assert_no_exception([first, second])
