"""Where the numbers of steps also go. Each package is tried for real if it is installed; without it, a module
of its name takes the calls."""

from __future__ import annotations

import json
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swarmd.errors import ConfigError
from swarmd.observe import StepLine
from swarmd.observe.sinks import SwitchedSink, open_sinks, require_packages
from swarmd.observe.sinks.opening import SINKS
from tests.observe.making import LINE, line


class Calls(ModuleType):
    """A package that remembers what it was asked to do."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for call in ("init", "log", "finish"):
            setattr(self, call, self._remember(call))
        self.Settings = dict

    def _remember(self, call: str) -> Any:
        def called(*args: Any, **kwargs: Any) -> Calls:
            self.calls.append((call, args, kwargs))
            return self

        return called


@pytest.fixture
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Calls:
    fake = Calls(request.param)
    monkeypatch.setitem(sys.modules, request.param, fake)
    for variable in ("WANDB_MODE", "TRACKIO_DIR"):
        monkeypatch.setenv(variable, "x")  # so that what a sink sets is undone
        monkeypatch.delenv(variable)
    return fake


def test_a_line_is_json_and_what_is_not_finite_is_null() -> None:
    found = json.loads(LINE.to_json())
    assert found["loss"] is None
    assert found["phase_seconds"] == {"generating": 0.3, "training": 0.2}
    assert set(found) == set(StepLine.__dataclass_fields__)


def test_the_numbers_of_a_line_leave_out_what_was_not_measured() -> None:
    found = LINE.scalars()
    assert found["phase_seconds/generating"] == 0.3
    assert "loss" not in found
    assert "reward_external" not in found
    assert "note" not in found


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmd.observe.sinks.opening.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"names wandb, which is not installed: `pip install 'swarmd\[wandb\]'`"
    ):
        require_packages(["wandb"])


def test_no_sink_needs_no_package() -> None:
    require_packages([])
    assert open_sinks([], Path("/nowhere"), "run") == []


@pytest.mark.parametrize("package", ["wandb", "trackio"], indirect=True)
def test_a_run_is_offline_in_the_home_and_gets_each_step(package: Calls, tmp_path: Path) -> None:
    [sink] = open_sinks([package.__name__], tmp_path, "12D3")
    sink.write(LINE)
    sink.close()
    assert sink.is_on is False
    (init, _, given), (log, (numbers,), at), (finish, _, _) = package.calls
    assert (init, log, finish) == ("init", "log", "finish")
    assert given["project"] == "swarmd"
    assert numbers.items() <= LINE.scalars().items()
    assert set(LINE.scalars()) - set(numbers) <= {"step", "time"}
    assert at == {"step": 7}
    assert (tmp_path / package.__name__).is_dir()


@pytest.mark.parametrize("package", ["wandb"], indirect=True)
def test_weights_and_biases_is_online_only_if_its_own_setting_says_so(
    package: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_sinks(["wandb"], tmp_path, "12D3")
    assert package.calls[-1][2]["mode"] == "offline"
    monkeypatch.setenv("WANDB_MODE", "online")
    open_sinks(["wandb"], tmp_path, "12D3")
    assert package.calls[-1][2]["mode"] == "online"


def test_trackio_reads_back_what_another_thread_wrote_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio")
    with ThreadPoolExecutor(1) as thread:  # as the daemon opens it
        [sink] = thread.submit(open_sinks, ["trackio"], tmp_path, "12D3").result()
    for step in (1, 2):
        sink.write(line(step=step, reward_own=step / 4))
    sink.close()
    with closing(sqlite3.connect(tmp_path / "trackio" / "swarmd.db")) as database:
        rows = database.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    assert [(step, json.loads(numbers)["reward_own"]) for step, numbers in rows] == [(1, 0.25), (2, 0.5)]
    assert capfd.readouterr().out == ""


def test_weights_and_biases_keeps_an_offline_run_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    [sink] = open_sinks(["wandb"], tmp_path, "12D3")
    sink.write(LINE)
    assert sink.is_on
    sink.close()
    [kept] = (tmp_path / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    assert kept.stat().st_size > 0
    assert capfd.readouterr().out == ""


def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [sink] = open_sinks(["tensorboard"], tmp_path, "12D3")
    for step in (1, 2):
        sink.write(line(step=step, reward_own=step / 4))
    sink.close()
    events = EventAccumulator(str(tmp_path / "tensorboard" / "12D3"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("reward_own")] == [(1, 0.25), (2, 0.5)]


class Failing:
    def __init__(self) -> None:
        self.written = 0

    def write(self, line: StepLine) -> None:
        self.written += 1
        raise RuntimeError("the server is gone")

    def close(self) -> None:
        raise AssertionError("a sink that is off is not used again")


def test_a_failing_sink_is_switched_off_with_one_warning() -> None:
    failing, told = Failing(), []
    sink = SwitchedSink("wandb", lambda: failing)
    sink.warn_by(told.append)
    for _ in range(3):
        sink.write(LINE)
    sink.close()
    assert failing.written == 1
    assert told == [
        "the sink wandb failed (RuntimeError: the server is gone) and is off until the next start; "
        "steps.jsonl in the home has every step"
    ]


def test_a_sink_that_cannot_be_opened_is_told_once_there_is_someone_to_tell() -> None:
    def cannot() -> Failing:
        raise OSError("no space left")

    told: list[str] = []
    sink = SwitchedSink("trackio", cannot)
    sink.write(LINE)
    sink.warn_by(told.append)
    assert len(told) == 1
    assert "OSError: no space left" in told[0]


def test_the_setting_knows_every_sink() -> None:
    from typing import get_args

    from swarmd.config.slices import SinkName

    assert set(get_args(SinkName)) == set(SINKS)
