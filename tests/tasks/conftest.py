"""One warm worker for a whole test file: its start costs seconds, and no attack may hurt it anyway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from protocol import TaskSpec, canonical_json
from swarmd.tasks import TaskRunner, WorkerOptions

QUICK = WorkerOptions(score_s=20.0, score_cpu_s=1.0)
"""Less CPU time than the default, so that tests of text that hangs end soon; enough clock time to use it."""


def make_spec(
    dataset: str, *, seed: int = 7, index: int = 0, source: str = "reasoning_gym", **config: object
) -> TaskSpec:
    version = "0.1.25" if source == "reasoning_gym" else "1"
    return TaskSpec(
        source=source, dataset=dataset, config=canonical_json(config), version=version, seed=seed, index=index
    )


@pytest.fixture
def spec() -> Callable[..., TaskSpec]:
    return make_spec


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[TaskRunner]:
    async with TaskRunner(reward="partial", options=QUICK) as running:
        yield running
