"""Your own multi-turn task: a code to break. Run it: `python examples/custom_turns_task.py`.

The observation after a turn must depend only on the question and the answers so far: every peer that receives
a completion replays it to score it. How a package offers its source is shown in `custom_task.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from protocol import TaskSpec
from swarmd.tasks import TaskRunner, UnknownDatasetError, WorkerOptions


class Codes:
    turns = 4  # the most turns a policy can write

    def question(self, seed: int, index: int) -> tuple[str, str]:
        code = "".join(Random(f"{seed},{index}").choices("123456", k=3))
        return "Break my code of three digits from 1 to 6. I say how many are in the right position.", code

    def hidden(self, entry: str) -> str:
        return entry  # all questions have the same text: this distinguishes them

    def reply(self, answers: Sequence[str | None], entry: str) -> str | None:
        guess = answers[-1] or ""
        return None if guess == entry else f"{sum(map(str.__eq__, guess, entry))} are right."

    def score(self, answers: Sequence[str | None], entry: str) -> float:
        return float(answers[-1] == entry)


class Breaking:
    version = "1"

    def datasets(self) -> list[str]:
        return ["codes"]

    def build(self, dataset: str, config: Mapping[str, int]) -> Codes:
        if dataset != "codes" or config:
            raise UnknownDatasetError("the only dataset is 'codes', without options")
        return Codes()


async def main() -> None:
    spec = TaskSpec(source="breaking", dataset="codes", config="{}", version="1", seed=7, index=0)
    options = WorkerOptions(sources=("breaking=custom_turns_task:Breaking",))
    async with TaskRunner(reward="exact", options=options) as runner:
        [question] = await runner.questions([spec])
        guesses = [f"<answer>{guess}</answer>" for guess in ("111", question.hidden)]
        [said] = await runner.replies([(spec, guesses[:1])])
        [[score]] = await runner.score([(spec, [guesses])])
    print(question.text, guesses[0], said, guesses[1], f"reward {score.reward:.0f}", sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
