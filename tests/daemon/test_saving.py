"""When a checkpoint is due: by time, by what the last one cost, or by the operator's word."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmd.config import StorageConfig
from swarmd.daemon.assembly import Assembly
from swarmd.daemon.saving import BYTES_A_DAY, DAY_S, SAVE_S_MAX, SAVE_S_MIN, SaveSchedule
from swarmd.errors import DiskFullError
from swarmd.storage import Database


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_the_first_step_of_a_home_is_saved_at_once(watch: Watch) -> None:
    schedule = SaveSchedule(StorageConfig(), monotonic=watch)
    assert schedule.due(1, 0)
    assert schedule.due(41, -1), "and the first after --from"
    assert not schedule.due(42, 41)


def test_a_small_quick_checkpoint_is_due_every_two_minutes(watch: Watch) -> None:
    schedule = SaveSchedule(StorageConfig(), monotonic=watch)
    schedule.saved(17_600_000, 0.1)
    watch.now += SAVE_S_MIN - 1
    assert not schedule.due(500, 1)
    watch.now += 1
    assert schedule.due(501, 1)
    assert schedule.bytes_written == 17_600_000


@pytest.mark.parametrize(
    ("size", "seconds", "interval_s"),
    [
        (0, 0.0, SAVE_S_MIN),
        (100_000_000, 0.1, 432.0),  # 100 MB at 20 GB a day
        (1_600_000_000, 5.0, SAVE_S_MAX),  # a model of 135 M parameters
        (17_600_000, 10.0, 500.0),  # a slow disk: 2% of the time
        (6_000_000_000, 60.0, SAVE_S_MAX),
    ],
)
def test_what_costs_more_is_saved_less_often_within_half_an_hour(
    watch: Watch, size: int, seconds: float, interval_s: float
) -> None:
    schedule = SaveSchedule(StorageConfig(), monotonic=watch)
    schedule.saved(size, seconds)
    assert schedule.interval_s == pytest.approx(interval_s)


def test_below_half_an_hour_a_day_writes_what_a_disk_stands(watch: Watch) -> None:
    schedule = SaveSchedule(StorageConfig(), bytes_of_last=300_000_000, monotonic=watch)
    assert schedule.interval_s < SAVE_S_MAX
    assert DAY_S / schedule.interval_s * 300_000_000 == pytest.approx(BYTES_A_DAY)


def test_the_operator_s_steps_take_the_place_of_time(watch: Watch) -> None:
    schedule = SaveSchedule(StorageConfig(checkpoint_every=20), monotonic=watch)
    watch.now += DAY_S
    assert [step for step in range(2, 50) if schedule.due(step, 1)] == [20, 40]


def test_the_operator_s_minutes_count_beside_steps(watch: Watch) -> None:
    schedule = SaveSchedule(StorageConfig(checkpoint_every=1_000, checkpoint_minutes=1.5), monotonic=watch)
    assert not schedule.due(2, 1)
    watch.now += 90
    assert schedule.due(2, 1)
    schedule.saved(1, 0.0)
    assert schedule.due(1_000, 2)
    assert not schedule.due(1_001, 1_000)


class Continuing:
    """A learner that continues from a checkpoint named with --from."""

    def __init__(self, database: Database, step: int, *, fails: bool = False) -> None:
        self.progress = SimpleNamespace(step=step, saved_step=-1)
        self.database, self.fails = database, fails
        self.known_at_save: int | None = None

    def save(self) -> int:
        self.known_at_save = self.database.facts.saved_step
        if self.fails:
            raise DiskFullError("the disk is full")
        self.progress.saved_step = self.progress.step
        return 1


class Here(Executor):
    """Runs everything in the caller's thread, where the database is."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **named))
        except DiskFullError as error:
            done.set_exception(error)
        return done


async def keep(database: Database, learner: Continuing) -> None:
    assembly: Any = SimpleNamespace(_model_thread=Here())
    await Assembly._keep_continuation(assembly, learner, database)  # type: ignore[arg-type]


async def test_what_continues_from_a_named_checkpoint_is_saved_and_known_before_the_history_goes(
    tmp_path: Path,
) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        database.facts.set_saved_step(353)
        learner = Continuing(database, 1)
        await keep(database, learner)
        assert learner.known_at_save == 1, "after a kill, no later step seems lost"
        assert database.facts.saved_step == learner.progress.saved_step == 1
        again = Continuing(database, 7)
        again.progress.saved_step = 7
        await keep(database, again)
        assert again.known_at_save is None, "it continues from its own"


async def test_a_new_home_whose_first_save_fails_does_not_seem_to_have_trained(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        with pytest.raises(DiskFullError):
            await keep(database, Continuing(database, 4, fails=True))
        assert database.facts.saved_step is None
