"""Tests tasks before anyone depends on them: generates each twice, in a worker that ends afterwards."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from swarmd.errors import TaskError
from swarmd.tasks.frames import pack, split_frames
from swarmd.tasks.launch import STDERR_TAIL_BYTES, WorkerOptions, worker_environment

_START_S = 120.0  # for starting the worker; each task then has its own limit


def try_tasks(
    tasks: Sequence[tuple[str, str, str]], options: WorkerOptions
) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """The sources' versions, and for each task the outcome: (True, None), or why it is not a valid task.

    A task is (source, dataset, options in canonical JSON). Raises TaskError if the worker cannot start.
    """
    specs = [(*task, None, 0, 0) for task in tasks]
    requests = b"".join(pack(("try", (spec,))) for spec in specs)
    try:
        with tempfile.TemporaryDirectory(prefix="swarmd-worker-") as directory:
            done = subprocess.run(  # noqa: S603  our own interpreter and module
                options.command(),
                input=requests,
                capture_output=True,
                env=worker_environment(),
                cwd=directory,
                timeout=_START_S + len(specs) * options.question_s,
                start_new_session=True,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise TaskError("the task worker took too long to try the tasks of the manifest") from None
    except OSError as error:
        raise TaskError(f"the task worker could not be launched: {error}") from error
    replies = split_frames(done.stdout)
    if len(replies) != 1 + len(specs):
        tail = done.stderr[-STDERR_TAIL_BYTES:].decode(errors="replace").strip()
        raise TaskError(f"the task worker ended early: {tail}")
    greeting: Any = replies[0]  # trusted, because this worker has run only its sources' code
    outcomes: list[Any] = replies[1:]
    versions = {name: version for name, (version, _) in greeting[0].items()}
    return versions, [outcome for (_cpu_micro, (outcome,)) in outcomes]
