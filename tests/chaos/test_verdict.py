"""What counts as lost, and what as growing: the judges of chaos and soak, on made-up lives."""

from __future__ import annotations

import dataclasses

import pytest

from tests.chaos.__main__ import Result
from tests.chaos.peers import Life
from tests.chaos.soak import BLOCK_S, slope
from tests.chaos.storm import Cut
from tests.chaos.verdict import Loss, _listens, losses


def said(*names: str | tuple[str, int]) -> list[dict[str, object]]:
    """Events a second apart; a pair is an event with its step."""
    events = []
    for second, name in enumerate(names):
        event, step = name if isinstance(name, tuple) else (name, None)
        events.append({"event": event, "seen": float(second)} | ({} if step is None else {"step": step}))
    return events


def test_steps_after_the_last_checkpoint_are_lost_by_a_kill() -> None:
    before = said("started", ("step", 1), ("checkpoint", 1), ("step", 2), ("step", 3))
    assert list(losses(7, [before, said("started", ("resumed", 1), ("step", 2))])) == [Loss(7, 2, 0, 2.0)]


def test_a_start_without_the_steps_that_were_saved_is_the_worst_loss() -> None:
    before = said("started", ("step", 1), ("checkpoint", 1))
    assert list(losses(0, [before, said("started", ("step", 1))])) == [Loss(0, 1, 1, 0.0)]


def test_a_daemon_that_was_started_again_by_its_parent_is_another_life_of_the_same_home() -> None:
    life = said("started", ("step", 1), ("checkpoint", 1), ("step", 2), "started", ("resumed", 1))
    assert [loss.steps for loss in losses(0, [life])] == [1]


def test_nothing_is_lost_by_a_stop_in_order() -> None:
    before = said("started", ("step", 1), ("step", 2), ("checkpoint", 2), "stopped")
    assert list(losses(0, [before, said("started", ("resumed", 2), ("step", 3))])) == []


class Printed:
    """A daemon that has said this."""

    def __init__(self, *events: tuple[str, float]) -> None:
        self._events = [{"event": name, "seen": at} for name, at in events]

    def named(self, name: str) -> list[dict[str, object]]:
        return [event for event in self._events if event["event"] == name]


@pytest.mark.parametrize(
    ("events", "over_at", "listens"),
    [
        ((("started", 0), ("pulled", 50)), None, True),
        ((("started", 0),), None, False),
        ((("started", 0), ("pulled", 110)), None, False),
        ((("started", 0), ("pulled", 50), ("started", 105)), None, False),
        ((("started", 0), ("pulled", 50), ("started", 130)), None, False),
        ((("started", 0), ("pulled", 50), ("started", 200)), None, True),
        ((("started", 0), ("pulled", 50)), 125, False),
    ],
)
def test_only_who_exchanged_before_a_cut_and_was_up_until_after_the_heal_can_be_silent(
    events: tuple[tuple[str, float], ...], over_at: float | None, listens: bool
) -> None:
    cut = Cut(
        sides=((0,), (1,)), began=0.0, began_at=100.0, healed_at=120.0, until=160.0, witnesses=frozenset({0})
    )
    life = Life(Printed(*events), "peer", over_at=over_at)  # type: ignore[arg-type]
    assert _listens(life, cut) is listens


@pytest.mark.parametrize("per_hour", [0.0, 12.0, -3.0])
def test_a_slope_is_found_with_an_interval_that_holds_it(per_hour: float) -> None:
    noise = (0.3, -0.2, 0.1, -0.3, 0.2, -0.1)
    seen = [
        (
            block * BLOCK_S + 60 * minute,
            100 + per_hour * (block * BLOCK_S + 60 * minute) / 3_600 + noise[block % 6],
        )
        for block in range(12)
        for minute in range(5)
    ]
    found = slope(1, "daemon MB", seen)
    assert found.low <= per_hour <= found.high
    assert found.holds == (per_hour < 10)


GOOD = Result(
    happened={"power cut": 2},
    survived={"power cut": 2},
    trouble=[],
    steps_lost_most=3,
    saved_steps_lost=0,
    records_lost=0,
    records=9,
    false_accepts=0,
    groups_checked=5,
    silences=[{"seconds": 4.0, "through_the_cut": 0}],
    descriptors_leaked=0,
    files_left=[],
    processes_left=0,
    tracebacks=[],
    exit_codes=[0, 0],
)


@pytest.mark.parametrize(
    "worse",
    [
        {"survived": {"power cut": 1}},
        {"trouble": ["machine 1: ended"]},
        {"steps_lost_most": 11},
        {"saved_steps_lost": 1},
        {"records_lost": 1},
        {"false_accepts": 1},
        {"silences": [{"seconds": 10.5, "through_the_cut": 0}]},
        {"silences": [{"seconds": None, "through_the_cut": 0}]},
        {"silences": [{"seconds": 1.0, "through_the_cut": 1}]},
        {"silences": [], "cuts": 1},
        {"descriptors_leaked": 1},
        {"files_left": ["worker"]},
        {"processes_left": 1},
        {"tracebacks": ["machine 0: ValueError"]},
        {"exit_codes": [0, None]},
    ],
    ids=lambda worse: next(iter(worse)),
)
def test_each_figure_has_a_bound_that_can_be_missed(worse: dict[str, object]) -> None:
    GOOD.judge()
    assert GOOD.missed == []
    bad = dataclasses.replace(GOOD, **worse, missed=[])  # type: ignore[arg-type]
    bad.judge()
    assert len(bad.missed) == 1
