"""Defines how the worker is started: interpreter, arguments, environment and paths. Starts nothing itself."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

QUESTION_S = 20.0  # the slowest dataset seen (sokoban at its defaults) sometimes takes 5 s on a busy core
SCORE_S = 8.0  # four times the CPU limit, because a scorer shares its core with the model
# an honest scorer takes milliseconds; the slowest formula seen takes 0.5 s, including its first imports
SCORE_CPU_S = 2.0
# a right program for our own tasks takes milliseconds; a policy that learns to program writes endless loops
PROGRAM_CPU_S = 0.5
BEAT_S = 1.0  # between two heartbeats of a worker that is starting or working
HANGS_PER_GROUP = 3  # a policy may write text that hangs; 64 such completions would take minutes
# niceness: below the daemon, above background work; at 19, scorers would time out on a busy machine
PRIORITY = 5
STDERR_TAIL_BYTES = 2_000


@dataclass(frozen=True)
class WorkerOptions:
    """Options passed to a worker at its start."""

    question_s: float = QUESTION_S
    """Limit for regenerating one question."""
    score_s: float = SCORE_S
    """Wall-clock limit for scoring one completion."""
    score_cpu_s: float = SCORE_CPU_S
    """CPU limit for scoring one completion: a scorer that reaches it hangs, however busy the machine is."""
    program_cpu_s: float = PROGRAM_CPU_S
    """CPU limit for an answer that is a program, with all its calls."""
    hangs_per_group: float = HANGS_PER_GROUP
    """All completions of a group together may take as long as this many hanging ones."""
    stop_at_loss: bool = False
    """Whether to leave the rest of a group unscored after one completion hangs or crashes the scorer."""
    priority: int = PRIORITY
    """niceness"""
    sources: tuple[str, ...] = ()
    """Task sources beyond the entry points, as name=module:attribute."""

    @property
    def group_s(self) -> float:
        """Wall-clock limit for all completions of one group together."""
        return self.hangs_per_group * self.score_s

    def command(self) -> list[str]:
        """The command line. With -s and -P, modules come only from this interpreter's own directories."""
        flags = ["-s", "-P", "-B", "-X", "utf8", "-m", "swarmd.tasks.worker"]
        return [sys.executable, *flags, str(os.getpid()), json.dumps(asdict(self))]

    @classmethod
    def from_argument(cls, text: str) -> WorkerOptions:
        """Parse the options that `command` put into the worker's argument."""
        fields = json.loads(text)
        return cls(**fields | {"sources": tuple(fields["sources"])})


FOR_PEERS = WorkerOptions(
    question_s=10.0,  # a hostile peer can search for slow seeds
    hangs_per_group=1,
    stop_at_loss=True,  # such a group is refused entirely
    priority=2 * PRIORITY,  # lower than for this peer's own questions and scores
)
"""For the worker that scores other peers' groups."""


def worker_environment() -> dict[str, str]:
    """The complete environment of the worker. It passes on no variable of the daemon: no secret, no proxy.

    PYTHONHASHSEED: some datasets iterate over sets of strings, and all peers must get the same order.
    """
    directories = [str(Path(path).resolve()) for path in sys.path if path and Path(path).exists()]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    return {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(directories), **one_thread}
