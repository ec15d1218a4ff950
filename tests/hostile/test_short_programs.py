"""The attacks by programs in short: their records' texts, through the worker that judges others' groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol import TaskFamily, canonical_json
from swarmd.tasks import FOR_PEERS, TaskRunner
from swarmd.tasks.manifest import task_spec
from tests.hostile.attacks import programs
from tests.hostile.publishing import ask

FAMILY = TaskFamily(
    name="digits",
    source="coding",
    dataset="digits",
    config=canonical_json({"level": 2}),
    version="1",
    weight=1,
)


async def test_programs_that_forge_earn_nothing_and_a_group_that_hangs_is_lost_at_its_first_hang() -> None:
    spec = task_spec(FAMILY, 7)
    right = ask(FAMILY, 7).right
    forged = [text for text, _ in programs.forged()]
    hanging = [text for text, _ in programs.hanging(right)]
    async with TaskRunner(reward="exact", options=replace(FOR_PEERS, score_s=60.0)) as runner:
        if [line for line in runner.sandbox_report() if "no programs run" in line]:
            pytest.skip("no system-call filter on this platform")
        scores = [(await runner.score_alone(spec, [text]))[0] for text in forged]
        assert [score.reward for score in scores] == [0.0] * len(forged)
        scores = await runner.score_alone(spec, hanging)
        assert [score.failure for score in scores] == [None, "hang", *["skipped"] * (len(hanging) - 2)]
        assert scores[0].reward == 1.0
        assert runner.restarts == 0
