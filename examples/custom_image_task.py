"""Your own task about an image. Run it: `python examples/custom_image_task.py`.

Images never travel: every peer draws them itself, so draw in integers, and from the seed alone. The pixels
are part of the question's digest. How a package offers its source is shown in `custom_task.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

import numpy
from numpy.typing import NDArray

from protocol import TaskSpec
from swarmd.tasks import TaskRunner, UnknownDatasetError, WorkerOptions

SIDE = 32  # pixels; the limits are in swarmd.images


class Dots:
    def question(self, seed: int, index: int) -> tuple[str, list[int]]:
        places = Random(f"{seed},{index}").sample(range(16), k=1 + seed % 9)
        return "How many dots are there?", places

    def images(self, entry: list[int]) -> Sequence[NDArray[numpy.uint8]]:
        picture = numpy.zeros((SIDE, SIDE, 3), dtype=numpy.uint8)
        for place in entry:
            row, column = 8 * (place // 4), 8 * (place % 4)
            picture[row + 2 : row + 6, column + 2 : column + 6] = (255, 200, 0)
        return [picture]

    def score(self, answer: str, entry: list[int]) -> float:
        return float(answer == str(len(entry)))


class Seeing:
    version = "1"

    def datasets(self) -> list[str]:
        return ["dots"]

    def build(self, dataset: str, config: Mapping[str, int]) -> Dots:
        if dataset != "dots" or config:
            raise UnknownDatasetError("the only dataset is 'dots', without options")
        return Dots()


async def main() -> None:
    spec = TaskSpec(source="seeing", dataset="dots", config="{}", version="1", seed=7, index=0)
    options = WorkerOptions(sources=("seeing=custom_image_task:Seeing",))
    async with TaskRunner(reward="exact", options=options) as runner:
        [question] = await runner.questions([spec])
        [scores] = await runner.score([(spec, ["<answer>8</answer>", "<answer>7</answer>"])])
    rewards = [f"{each.reward:.0f}" for each in scores]
    print(question.text, f"{len(question.images)} image", *rewards, sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
