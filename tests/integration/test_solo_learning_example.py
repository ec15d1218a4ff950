"""The README's learning check runs as it stands. With so few steps that is all this shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.daemon_process import ONE_THREAD, SPARING

EXAMPLE = Path(__file__).parents[2] / "examples" / "solo_learning.py"
SHARE = r"[01]\.\d{3}"
RUN_S = 400.0  # three starts of torch and two training steps on a busy machine


@pytest.mark.daemon
@pytest.mark.timeout(2 * RUN_S)
def test_it_evaluates_before_and_after_and_prints_the_constant_baseline_beside() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--seeds", "1", "--steps", "2", "--questions", "8"],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        env={**os.environ, **ONE_THREAD, **SPARING},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, seed, gain = done.stdout.splitlines()
    assert head.startswith("2 solo steps, 8 held-out questions, greedy; ")
    assert re.fullmatch(rf"seed 0: {SHARE} -> {SHARE} \([+-]{SHARE}\); constant answers {SHARE}", seed)
    assert re.fullmatch(rf"gain: median [+-]{SHARE}, from [+-]{SHARE} to [+-]{SHARE}", gain)
