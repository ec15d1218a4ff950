"""One warm worker for a whole test file: its start costs seconds, and no attack may hurt it anyway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from protocol import TaskSpec, canonical_json
from swarmd.tasks import TaskRunner, WorkerOptions

HANG_S = 2.0  # shorter than the default, so that the hanging tests do not take all day


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
    async with TaskRunner(reward="partial", options=WorkerOptions(score_s=HANG_S)) as running:
        yield running
