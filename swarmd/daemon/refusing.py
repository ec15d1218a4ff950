"""Whether the tasks of a swarm can be asked here.

A manifest from a file is tested when it is read. One that a home has kept, or that a peer serves, may name a
source that is not installed, another version of it, or options that this version of swarmd refuses.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from protocol import Manifest, TaskSpec
from swarmd.errors import ConfigError
from swarmd.tasks import Question, TaskFailure
from swarmd.tasks.draw import example_specs
from swarmd.tasks.outcomes import REFUSALS


class Asked(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...


async def require_tasks(tasks: Asked, manifest: Manifest, home: Path, warn: Callable[[str], None]) -> None:
    """Ask one question of each task, which takes milliseconds, and warn about each task that is refused.

    Raises ConfigError if all are, and TaskError. Changes nothing in the home.
    """
    specs = [spec for family in manifest.tasks for spec in example_specs(family, 0, 1)]
    asked = zip(manifest.tasks, await tasks.questions(specs), strict=True)
    failures = {
        family.name: found
        for family, found in asked
        if isinstance(found, TaskFailure) and found.reason in REFUSALS
    }
    refused = [f"{name}: {failure.detail}" for name, failure in failures.items()]
    if len(refused) == len(manifest.tasks):
        lacking = any(failure.reason in ("source", "version", "dataset") for failure in failures.values())
        install = "install what is missing, or " if lacking else ""
        raise ConfigError(
            f"no task of the swarm {manifest.name} can be asked here ({'; '.join(refused)}): {install}get a "
            "new version of the swarm from its author (`swarmd swarm accept FILE --home "
            f"{shlex.quote(str(home))}`), or continue in another swarm (`swarmd join --swarm FILE --home "
            f"OTHER --from CHECKPOINT`). {home} keeps everything"
        )
    for reason in refused:
        warn(f"a task of {manifest.name} cannot be asked here and is left out: {reason}")
