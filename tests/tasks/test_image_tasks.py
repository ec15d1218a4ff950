"""Tasks about images in the sandboxed worker: what is shown, what names the question, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol import TaskSpec, prompt_digest
from swarmd.errors import ConfigError
from swarmd.tasks import Question, TaskFailure, TaskRunner, WorkerOptions, load_manifest

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD_SOURCE = """
import random
import numpy

class Task:
    def __init__(self, dataset):
        self.dataset = dataset

    def question(self, seed, index):
        return "What is it?", seed

    def images(self, entry):
        if self.dataset == "wide":
            return [numpy.zeros((1, 999, 3), dtype=numpy.uint8)]
        if self.dataset == "float":
            return [numpy.zeros((4, 4, 3))]
        if self.dataset == "text":
            return ["a picture"]
        colour = random.randrange(256) if self.dataset == "random" else entry
        return [numpy.full((2, 3, 3), colour, dtype=numpy.uint8)]

    def score(self, answer, entry):
        return float(answer == str(entry))

class Odd:
    version = "1"

    def datasets(self):
        return ["plain", "wide", "float", "text", "random"]

    def build(self, dataset, config):
        return Task(dataset)
"""


def spec(source: str, dataset: str, seed: int = 7) -> TaskSpec:
    return TaskSpec(source=source, dataset=dataset, config="{}", version="1", seed=seed, index=0)


@pytest.fixture(scope="module")
def odd_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerOptions]:
    directory = tmp_path_factory.mktemp("sources")
    (directory / "odd_images.py").write_text(ODD_SOURCE)
    sys.path.insert(0, str(directory))
    yield WorkerOptions(sources=("odd=odd_images:Odd",))
    sys.path.remove(str(directory))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(odd_options):
    async with TaskRunner(reward="exact", options=odd_options) as running:
        yield running


async def test_a_question_comes_with_its_images_and_its_digest_covers_them(runner):
    count, again, frames, odd = await runner.questions(
        [
            spec("pictures", "count"),
            spec("pictures", "count"),
            spec("pictures", "frames"),
            spec("odd", "plain"),
        ]
    )
    assert [(image.width, image.height) for image in count.images] == [(32, 32)]
    assert len(frames.images) == 4
    assert count == again
    assert count.digest == prompt_digest(count.text, [image.digest for image in count.images])
    assert odd.digest == prompt_digest(odd.text, [odd.images[0].digest], "7,0"), "no hidden part was given"
    assert odd.images[0].pixels == bytes([7]) * 18
    assert not count.is_plain


async def test_held_out_questions_are_found_by_the_digest_of_text_and_images(runner):
    specs = [spec("pictures", "count", seed) for seed in range(60)]
    made = await runner.questions(specs)
    found = await runner.held_out(specs)
    assert found == [question for question in made if question.held_out]
    assert found


async def test_a_completion_of_either_form_is_scored_and_one_of_two_turns_is_refused(runner):
    [question] = await runner.questions([spec("odd", "plain")])
    assert isinstance(question, Question)
    right, turns, nothing = "<answer>7</answer>", ("<answer>7</answer>",) * 2, ("seven",)
    [[text, episode, without, two]] = await runner.score([(question.spec, [right, (right,), nothing, turns])])
    assert (text.reward, episode.reward, without.reward) == (1.0, 1.0, 0.0)
    assert two.failure == "turns"


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ("wide", "999 x 1"),
        ("float", "float64"),
        ("text", "a str"),
        ("random", "differs when generated again"),
    ],
)
async def test_a_manifest_whose_images_nobody_could_use_is_refused(tmp_path: Path, odd_options, dataset, why):
    manifest = tmp_path / "swarm.toml"
    manifest.write_text(
        'name = "odd"\ngenesis = 2026-01-01T00:00:00Z\nround_seconds = 15\nreward = "exact"\n'
        "max_new_tokens = 16\nrecords_per_round_max = 64\n"
        f'[[tasks]]\nsource = "odd"\ndataset = "{dataset}"\n'
    )
    with pytest.raises(ConfigError, match=why) as caught:
        load_manifest(str(manifest), options=odd_options)
    assert "swarm.toml, line 7, tasks.0" in str(caught.value)


async def test_an_image_that_breaks_a_limit_costs_its_own_question_only(runner):
    wide, fine = await runner.questions([spec("odd", "wide"), spec("odd", "plain")])
    assert isinstance(wide, TaskFailure)
    assert wide.reason == "image"
    assert isinstance(fine, Question)
