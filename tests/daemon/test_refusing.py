"""Tasks of a kept or served manifest that cannot be asked here are reported before the model trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from protocol import Manifest, TaskFamily, TaskSpec, canonical_json
from swarmd.daemon.refusing import require_tasks
from swarmd.errors import ConfigError
from swarmd.tasks import Question, TaskFailure, TaskRunner
from swarmd.tasks.outcomes import REFUSALS
from swarmd.tasks.versions import built_in_versions
from tests.gossip.making import make_manifest

HOME = Path("/a home")


class Failing:
    """Fails to generate the questions of the datasets in `reasons`."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self._reasons = reasons

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        return [
            TaskFailure(spec, self._reasons[spec.dataset], f"no {spec.dataset} here")
            if spec.dataset in self._reasons
            else Question(spec, "?")
            for spec in specs
        ]


async def warnings(manifest: Manifest, reasons: dict[str, str]) -> list[str]:
    said: list[str] = []
    await require_tasks(Failing(reasons), manifest, HOME, said.append)
    return said


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_swarm_without_a_task_that_can_be_asked_is_refused_with_what_to_do(reason):
    manifest = make_manifest(tasks=2)
    with pytest.raises(ConfigError) as caught:
        await warnings(manifest, {task.dataset: reason for task in manifest.tasks})
    said = str(caught.value)
    assert said.startswith(f"no task of the swarm {manifest.name} can be asked here (")
    for task in manifest.tasks:
        assert f"{task.name}: no {task.dataset} here" in said
    assert "`swarmd swarm accept FILE --home '/a home'`" in said
    assert "--from CHECKPOINT" in said
    assert ("install what is missing" in said) == (reason in ("source", "version", "dataset"))


async def test_a_refused_task_beside_others_is_left_out_with_a_warning():
    manifest = make_manifest(tasks=2)
    first = manifest.tasks[0]
    [said] = await warnings(manifest, {first.dataset: "option"})
    assert said.endswith(f"cannot be asked here and is left out: {first.name}: no {first.dataset} here")


@pytest.mark.parametrize("reason", ["timeout", "crash", "error", "image", "question"])
async def test_a_failure_that_the_next_seed_may_not_have_refuses_nothing(reason):
    manifest = make_manifest(tasks=1)
    assert await warnings(manifest, {manifest.tasks[0].dataset: reason}) == []


async def test_the_worker_refuses_a_judge_that_cannot_see_the_images_of_its_task():
    judged = TaskFamily(
        name="seen",
        source="pictures",
        dataset="count",
        version=built_in_versions()["pictures"],
        weight=1,
        config=canonical_json({"judges": [{"kind": "reward_model", "model": "embedded"}]}),
    )
    manifest = make_manifest(tasks=1).model_copy(update={"tasks": (judged,)})
    async with TaskRunner(reward=manifest.reward) as runner:
        with pytest.raises(ConfigError, match="seen: reward_model reads text only"):
            await require_tasks(runner, manifest, HOME, pytest.fail)
