"""How the worker is started: interpreter, arguments, environment and paths. Starts nothing itself."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

QUESTION_S = 20.0  # the slowest dataset seen (sokoban at its defaults) takes 5 s now and then on a busy core
SCORE_S = 5.0  # an honest scorer takes milliseconds
STDERR_TAIL_BYTES = 2_000


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker is told at its start."""

    question_s: float = QUESTION_S
    """limit for regenerating one question"""
    score_s: float = SCORE_S
    """limit for scoring one completion"""
    sources: tuple[str, ...] = ()
    """task sources beyond the entry points, as name=module:attribute"""

    def command(self) -> list[str]:
        """-s -P: no directory that this interpreter does not use is searched for modules."""
        flags = ["-s", "-P", "-B", "-X", "utf8", "-m", "swarmd.tasks.worker"]
        return [
            sys.executable, *flags, str(os.getpid()), str(self.question_s), str(self.score_s), *self.sources
        ]  # fmt: skip


def worker_environment() -> dict[str, str]:
    """The whole environment of the worker: nothing of ours, so no secret and no proxy either.

    PYTHONHASHSEED: some datasets iterate over sets of strings, and all peers must see the same order.
    """
    directories = [str(Path(path).resolve()) for path in sys.path if path and Path(path).exists()]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    return {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(directories), **one_thread}
