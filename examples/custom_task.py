"""Your own task source: words to spell backwards. Run it: `python examples/custom_task.py`.

A package offers its source to every swarmd on the machine with an entry point in its pyproject.toml:

    [project.entry-points."swarmd.tasks"]
    backwards = "my_package.tasks:Backwards"

A manifest names the source: `source = "backwards"`, `dataset = "words"`, options under `[tasks.config]`. This
file is not a package, so it passes the same reference to the runner itself.
"""

import asyncio
from collections.abc import Mapping
from random import Random

from protocol import TaskSpec
from swarmd.tasks import BadOptionError, TaskRunner, UnknownDatasetError, WorkerOptions


class Words:
    def __init__(self, length: int = 5) -> None:
        self.length = length

    def question(self, seed: int, index: int) -> tuple[str, str]:
        word = "".join(Random(seed + index).choices("abcdefghijklmnopqrstuvwxyz", k=self.length))
        return f"Spell {word} backwards.", word[::-1]

    def score(self, answer: str, entry: str) -> float:
        return float(answer == entry)


class Backwards:
    version = "1"  # change it whenever the same seed could give a different question

    def datasets(self) -> list[str]:
        return ["words"]

    def build(self, dataset: str, config: Mapping[str, int]) -> Words:
        if dataset != "words":
            raise UnknownDatasetError(f"there is no dataset {dataset!r}; the only one is 'words'")
        if unknown := config.keys() - {"length"}:
            raise BadOptionError(f"unknown option {min(unknown)!r}; the only one is 'length'", min(unknown))
        return Words(**config)


async def main() -> None:
    spec = TaskSpec(source="backwards", dataset="words", config='{"length":4}', version="1", seed=7, index=0)
    options = WorkerOptions(sources=("backwards=custom_task:Backwards",))
    async with TaskRunner(reward="exact", options=options) as runner:
        [question] = await runner.questions([spec])
        word = question.text.split()[1]
        completions = [f"<answer>{word[::-1]}</answer>", f"<answer>{word}</answer>", "I do not know"]
        [scores] = await runner.score([(spec, completions)])
    print(
        question.text, *(f"{s.reward:.0f}  {c}" for s, c in zip(scores, completions, strict=True)), sep="\n"
    )


if __name__ == "__main__":
    asyncio.run(main())
