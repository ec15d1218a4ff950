"""When a peer measures what others' groups do for it: within its share of the time, people first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from protocol import TaskSpec, person_model
from swarmd.daemon.crediting import FIRST_S, TIME_SHARE, Crediting
from swarmd.groups import ScoredGroup
from swarmd.step.gold import likelihood
from swarmd.storage import Database
from tests.daemon.fakes import KnownTasks, external_group
from tests.gossip.making import START, key, make_manifest

MANIFEST = make_manifest()
COST_S = 1.0  # of each look at the policy
OTHER = key(2).peer_id


class Solved(KnownTasks):
    """Right answers are known."""

    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
        return ["yes" for _ in specs]


class Bench:
    """A peer that measures, on simulated time in which each look at the policy takes `COST_S`."""

    def __init__(self, database: Database, policy: Any, tasks: KnownTasks | None = None) -> None:
        self.now = 0.0
        self.database = database
        self.looks = 0
        self.tasks: Sequence[bytes] = ()
        """Measured in the last step, the control last."""
        self.crediting = Crediting(
            MANIFEST, policy, tasks or Solved(), database.credits,
            clock=lambda: START, monotonic=lambda: self.now,
        )  # fmt: skip

    async def look(self, call: Callable[[], Any]) -> Any:
        self.now += COST_S
        self.looks += 1
        return call()

    async def draw(self) -> None:
        """Until the questions are drawn: a first step wants them."""
        self.now = FIRST_S
        assert not await self.step(by())
        await self.crediting.draw()

    async def step(self, *external: ScoredGroup, own: Sequence[ScoredGroup] = ()) -> bool:
        """Whether the step was measured. It takes no time itself."""
        if not self.crediting.due(external):
            return False
        begun = await self.crediting.before(own, external, self.look)
        if begun is not None:
            self.tasks = begun.tasks
            await self.crediting.after(begun, own, external, self.look)
        return begun is not None


@pytest.fixture
def bench(tmp_path: Path, make_policy: Callable[..., Any]) -> Iterator[Bench]:
    with Database(tmp_path / "swarmd.db") as database:
        yield Bench(database, make_policy(max_new_tokens=8))


def by(model: str = "other") -> ScoredGroup:
    return replace(external_group(1, publisher=OTHER), task_id=MANIFEST.tasks[0].task_id, model=model)


async def test_a_step_with_others_groups_is_measured_and_written_down(bench: Bench) -> None:
    await bench.draw()
    assert await bench.step(by())
    [row] = bench.database.credits.all()
    assert (row.peer_id, row.people, row.groups, row.gain) == (OTHER, False, 1, 0.0)


@pytest.mark.parametrize("look", [1, 2])
async def test_a_measurement_for_which_memory_runs_out_is_left_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    await bench.draw()

    def short(*arguments: Any) -> Any:
        if bench.looks == look:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return likelihood(*arguments)

    monkeypatch.setattr("swarmd.daemon.crediting.likelihood", short)
    assert await bench.step(by()) == (look == 2)
    assert bench.database.credits.all() == []
    assert bench.crediting.share > 0, "the time was spent all the same"


async def test_nothing_is_measured_at_the_start_or_of_a_step_on_own_groups_alone(bench: Bench) -> None:
    assert not await bench.step(by())
    await bench.draw()
    assert not await bench.step()
    assert bench.looks == 0


async def test_no_step_waits_for_the_questions_and_a_lone_peer_draws_none(bench: Bench) -> None:
    drawing = asyncio.ensure_future(bench.crediting.draw())  # noqa: TID251  cancelled below
    bench.now = FIRST_S
    assert not await bench.step()
    await asyncio.sleep(0)
    assert not drawing.done()
    assert not await bench.step(by())
    await drawing
    assert await bench.step(by())


async def test_measuring_keeps_to_its_share_of_the_time(bench: Bench) -> None:
    await bench.draw()
    measured = 0
    while bench.now < 4_000.0:
        measured += await bench.step(by())
        bench.now += 1.0
    assert measured > 20
    assert bench.crediting.share <= TIME_SHARE


async def test_a_persons_answer_may_use_what_others_leave(bench: Bench) -> None:
    await bench.draw()
    assert await bench.step(by())
    while not await bench.step(by()):
        bench.now += 1.0
    cost = 2 * COST_S
    bench.now += cost / TIME_SHARE / 2  # half a measurement more was saved
    assert not await bench.step(by())
    assert await bench.step(by(person_model("Ann")))
    assert [row.people for row in bench.database.credits.all()] == [False, True]


async def test_tasks_without_right_answers_are_not_measured(
    tmp_path: Path, make_policy: Callable[..., Any]
) -> None:
    class Unsolved(Solved):
        async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
            return [None for _ in specs]

    with Database(tmp_path / "other.db") as database:
        bench = Bench(database, make_policy(max_new_tokens=8), Unsolved())
        await bench.draw()
        assert not await bench.step(by())
        assert (bench.looks, database.credits.all()) == (0, [])


async def test_the_control_is_a_family_that_neither_own_groups_nor_lessons_train(bench: Bench) -> None:
    await bench.draw()
    external, trained, rehearsed = (task.task_id for task in MANIFEST.tasks)
    own = replace(by(), task_id=trained, external=False)
    idle = replace(own, task_id=rehearsed, completions=own.completions[:1])
    lesson = replace(idle, external=True)

    assert await bench.step(by(), own=[own, idle])
    assert bench.tasks == [external, rehearsed], "an own group of equal rewards trains nothing"
    bench.now += 1_000.0
    assert await bench.step(by(), own=[own, lesson])
    assert bench.tasks == [external], "no family is left for a control"
