"""The example that docs/models.md shows runs as it stands, and prints what is shown there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmd.tasks.sandbox import seccomp

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not seccomp.is_supported(), reason="no program runs without a system-call filter")
def test_the_example_prints_the_verdicts_that_the_document_shows() -> None:
    environment = {"PYTHONPATH": ":".join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, str(ROOT / "examples" / "judged_programs.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    *verdicts, cpu, memory = done.stdout.splitlines()
    assert "\n".join(verdicts) in (ROOT / "docs" / "models.md").read_text()
    assert cpu.endswith(" ms of CPU per program")
    assert memory.endswith(" MiB for the process that forks the cells")
