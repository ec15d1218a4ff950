"""Which signals are a stop, and when two of them are one."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from swarmd.parent.stops import AGAIN_S, LastStop, stop_signals

SOON, LATE = AGAIN_S / 2, AGAIN_S * 2


@pytest.fixture
def hang_up_is_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("signals", "repeats"),
    [
        ([(0.0, signal.SIGHUP), (SOON, signal.SIGHUP)], [False, True]),
        ([(0.0, signal.SIGHUP), (LATE, signal.SIGHUP)], [False, False]),
        ([(0.0, signal.SIGINT), (SOON, signal.SIGINT)], [False, False]),
        ([(0.0, signal.SIGTERM), (SOON, signal.SIGTERM)], [False, True]),
        ([(0.0, signal.SIGTERM), (LATE, signal.SIGTERM)], [False, False]),
        ([(0.0, signal.SIGTERM), (SOON, signal.SIGHUP), (2 * SOON, signal.SIGHUP)], [False, True, True]),
        ([(0.0, signal.SIGINT), (SOON, signal.SIGTERM), (2 * SOON, signal.SIGINT)], [False, True, False]),
    ],
)
def test_a_signal_soon_after_another_is_the_same_stop_unless_it_is_ctrl_c(
    signals: list[tuple[float, signal.Signals]], repeats: list[bool]
) -> None:
    times = iter([at for at, _ in signals])
    last_stop = LastStop(lambda: next(times))
    assert [last_stop.repeated_by(number) for _, number in signals] == repeats


@pytest.mark.parametrize(("number", "repeats"), [(signal.SIGHUP, True), (signal.SIGINT, False)])
def test_a_signal_read_after_a_stop_that_took_long_to_handle_is_the_same_stop(number, repeats) -> None:
    times = iter([0.0, LATE, LATE + SOON])
    last_stop = LastStop(lambda: next(times))
    assert not last_stop.repeated_by(signal.SIGTERM)
    last_stop.handled()
    assert last_stop.repeated_by(number) == repeats


@pytest.mark.usefixtures("hang_up_is_restored")
def test_a_hang_up_is_no_stop_under_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]
