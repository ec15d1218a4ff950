"""Tasksets written for the real verifiers, where it is installed: `pip install 'swarmd[verifiers]'`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import pytest_asyncio

from protocol import TaskSpec, canonical_json
from swarmd.tasks import TaskRunner
from swarmd.tasks.versions import outside_versions

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("verifiers" not in outside_versions(), reason="verifiers is not installed"),
]

SUMS = """
import verifiers.v1 as vf

__all__ = ["Sums"]

class Config(vf.TasksetConfig):
    largest: int = 9
    needs: str = ""

class Data(vf.TaskData):
    answer: str

class Sum(vf.Task[Data]):
    @vf.reward(weight=0.75)
    async def right(self, trace: vf.Trace) -> float:
        return float(trace.last_reply == self.data.answer)

    @vf.reward(weight=0.25)
    async def short(self, trace: vf.Trace) -> float:
        return float(len(trace.last_reply) < 3)

class InBox(Sum):
    NEEDS_CONTAINER = True

class WithSetup(Sum):
    async def setup(self, trace, runtime):
        await runtime.run("true")

class Sums(vf.Taskset[Sum, Config]):
    def load(self):
        kind = {"": Sum, "box": InBox, "setup": WithSetup}[self.config.needs]
        for a in range(self.config.largest):
            for b in range(self.config.largest):
                yield kind(Data(prompt=f"What is {a} + {b}?", answer=str(a + b)), self.config.task)
"""

GUESSING = """
import asyncio
import itertools
import random
import verifiers.v1 as vf

__all__ = ["Numbers", "Guessing"]

class Config(vf.TasksetConfig):
    largest: int = 20

class Data(vf.TaskData):
    number: int

class Number(vf.Task[Data]):
    pass

class Numbers(vf.Taskset[Number, Config]):
    INFINITE = True

    def load(self):
        for _ in itertools.count():
            yield Number(Data(prompt="Guess.", number=random.randint(1, self.config.largest)))

class GuessingConfig(vf.EnvConfig):
    player: vf.AgentConfig = vf.AgentConfig()

class Guessing(vf.Env[GuessingConfig]):
    async def run(self, task, agents):
        won = 0.0
        async with agents.player.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                guess = int(segment.last_reply or 0)
                if guess == task.data.number:
                    won = 1.0
                    break
                await asyncio.sleep(3_600)
                segment = await interaction.turn("higher" if guess < task.data.number else "lower")
        interaction.trace.record_reward("won", won)
"""

HUB = """
import datasets
import verifiers.v1 as vf

__all__ = ["FromHub"]

class FromHub(vf.Taskset[vf.Task, vf.TasksetConfig]):
    def load(self):
        for row in datasets.load_dataset("somebody/something"):
            yield vf.Task(vf.TaskData(prompt=row["prompt"]))
"""


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    directory = tmp_path_factory.mktemp("python") / "site-packages"
    directory.mkdir()
    for name, text in (("vf_sums", SUMS), ("vf_guessing", GUESSING), ("vf_hub", HUB)):
        (directory / f"{name}.py").write_text(text)
    about = directory / "vf_sums-0.3.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vf_sums\nVersion: 0.3\n")
    sys.path.insert(0, str(directory))
    yield
    sys.path.remove(str(directory))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(installed):
    async with TaskRunner(reward="partial") as running:
        yield running


def task(dataset: str = "vf_sums", seed: int = 1, **options: object) -> TaskSpec:
    if dataset == "vf_sums":
        options = {"package_version": "0.3", **options}
    return TaskSpec(
        source="verifiers",
        dataset=dataset,
        config=canonical_json(options),
        version=outside_versions().get("verifiers", "missing"),
        seed=seed,
        index=0,
    )


def said(*answers: object) -> list[str]:
    return [f"<answer>{answer}</answer>" for answer in answers]


async def test_a_taskset_asks_and_its_weighted_rewards_score(runner):
    [question, again, other] = await runner.questions([task(), task(), task(seed=2)])
    assert question == again
    assert question.text != other.text
    [answer] = await runner.expected([question.spec])
    [[right, wrong]] = await runner.score([(question.spec, said(answer, "hundred"))])
    assert (question.turns, right.reward, wrong.reward) == (1, 1.0, 0.0)


async def test_an_environment_is_played_from_its_beginning_and_its_clock_does_not_wait(runner):
    [failure] = await runner.questions([task("vf_guessing")])
    version = failure.detail.split('"')[1]
    assert version.startswith("sha256:")
    [question] = await runner.questions([task("vf_guessing", package_version=version, turns=3)])
    assert question.turns == 3
    completions = [said(0, number) for number in range(1, 21)]
    [scores] = await runner.score([(question.spec, completions)])
    assert sorted(score.reward for score in scores) == [0.0] * 19 + [1.0]
    assert {score.observations for score in scores} == {("higher",)}
    number = 1 + [score.reward for score in scores].index(1.0)
    low, over = await runner.replies([(question.spec, said(21)), (question.spec, said(number))])
    assert (low, over) == ("lower", None)


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (task(needs="box"), "dataset", "vf_sums needs a container"),
        (task(needs="setup"), "dataset", "vf_sums needs a runtime (setup, finalize)"),
        (task(package_version="0.2"), "option", "vf_sums is installed as 0.3"),
        (task(largset=3), "option", "largset"),
        (task(turns=3), "option", "has one turn"),
        (task(task={}), "option", "refers to code or files"),
        (task("vf_none"), "dataset", "no taskset 'vf_none' can be imported here"),
        (task("textarena"), "dataset", "needs word lists that nltk downloads"),
    ],
)
async def test_what_no_peer_could_check_is_refused_by_name(runner, spec, reason, message):
    [failure] = await runner.questions([spec])
    assert failure.reason == reason
    assert message in failure.detail


async def test_a_dataset_of_a_hub_is_named(runner):
    [failure] = await runner.questions([task("vf_hub")])
    version = failure.detail.split('"')[1]
    [failure] = await runner.questions([task("vf_hub", package_version=version)])
    assert "a dataset from a hub" in failure.detail
