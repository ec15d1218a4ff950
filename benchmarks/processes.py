"""Start the benchmark's processes, one after another, with the same environment for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 3_600.0  # for a hung process; even the slowest case takes only minutes
STDERR_LINES = 15  # shown from a failed process


class ProcessError(Exception):
    """A benchmark process failed. The message ends with its last output."""


def call(task: str, payload: dict[str, Any], *, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Run one of `child.TASKS` in a fresh process and return its answer. Raises ProcessError."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",  # everything is already on this disk
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # genrl uses a GPU whenever it sees one
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "benchmarks.child", task],
            input=json.dumps(payload),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{task} did not end within {TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-STDERR_LINES:])
        raise ProcessError(f"{task} ended with status {done.returncode}:\n{tail}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
