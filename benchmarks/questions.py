"""Real questions, drawn as a peer draws them. They are the same on every machine."""

from __future__ import annotations

import asyncio

from protocol import PeerId
from swarmd.tasks import TaskRunner, TrainingDraw, load_manifest

NOBODY = PeerId("benchmark")  # the draw depends on the peer id


def draw_questions(preset: str, count: int) -> list[str]:
    """Return the first `count` questions of a preset. Raises TaskError."""
    return asyncio.run(_draw(preset, count))


async def _draw(preset: str, count: int) -> list[str]:
    manifest = load_manifest(preset)
    async with TaskRunner(reward=manifest.reward) as runner:
        drawn = await TrainingDraw(manifest, NOBODY, seed=0).draw(runner, count)
    return [question.text for question in drawn]
