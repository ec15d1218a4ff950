"""Which ends are final, which are survived, after how long, and when the peer is given up."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import exit_codes
from swarmd.parent.lives import (
    BACK_OFF_S,
    DISK_FULL_WAIT_S,
    FRUITLESS_MAX,
    LONG_LIFE_S,
    Again,
    End,
    Final,
    Lives,
    how_it_ended,
)

SEGV = End(-signal.SIGSEGV, lived_s=20.0, doing="training")
KILLED = End(-signal.SIGKILL, lived_s=20.0, doing="loading the model")


@pytest.mark.parametrize("code", [0, 1, 2, 3, 75, 130])
def test_an_end_that_the_peer_explains_is_final_and_passed_on_without_a_word(code: int) -> None:
    assert Lives().after(End(code, 5.0)) == Final(code)


@pytest.mark.parametrize("end", [SEGV, KILLED, End(exit_codes.BUG, 5.0), End(None, 0.0, why="no memory")])
def test_an_end_that_nobody_explains_is_survived_and_counted(end: End) -> None:
    lives = Lives()
    first, second = lives.after(end), lives.after(end)
    assert isinstance(first, Again)
    assert isinstance(second, Again)
    assert "(once so far); restarting it in 1 s" in first.text
    assert "(2 times so far); restarting it in 4 s" in second.text
    assert lives.deaths == 2


def test_after_so_many_deaths_without_a_step_it_gives_up_with_the_reason_and_the_shells_code() -> None:
    lives = Lives()
    verdicts = [lives.after(SEGV) for _ in range(FRUITLESS_MAX)]
    assert all(isinstance(verdict, Again) for verdict in verdicts[:-1])
    last = verdicts[-1]
    assert isinstance(last, Final)
    assert last.code == 128 + signal.SIGSEGV
    assert "ended by SIGSEGV (last activity: training): a fault in a library" in last.text
    assert "giving up: that was the 5th death in a row without a finished step" in last.text


def test_a_full_disk_is_waited_for_without_end_once_a_step_was_finished() -> None:
    lives = Lives()
    verdicts = [lives.after(End(exit_codes.DISK_FULL, 5.0, steps=steps)) for steps in (3, *[0] * 20)]
    assert {verdict.wait_s for verdict in verdicts if isinstance(verdict, Again)} == {DISK_FULL_WAIT_S}
    assert len(verdicts) == 21
    assert all(isinstance(verdict, Again) for verdict in verdicts)
    assert "the peer ended because the disk was full (once so far)" in verdicts[0].text
    assert isinstance(lives.after(End(exit_codes.DISK_FULL, 900.0, steps=9)), Again)
    after = [lives.after(SEGV) for _ in range(FRUITLESS_MAX)]
    assert [type(verdict) for verdict in after] == [Again] * (FRUITLESS_MAX - 1) + [Final]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_it_gives_up_exactly_when_no_step_was_finished_for_so_many_deaths(steps: list[int]) -> None:
    lives, fruitless = Lives(), 0
    for count in steps:
        fruitless = 1 if count else fruitless + 1
        verdict = lives.after(End(-signal.SIGKILL, 10.0, steps=count))
        assert isinstance(verdict, Final) == (fruitless >= FRUITLESS_MAX)
        if isinstance(verdict, Final):
            return
        assert verdict.wait_s in BACK_OFF_S


def test_a_long_life_restarts_the_back_off_and_short_ones_that_work_wait_longer_each_time() -> None:
    lives = Lives()
    short = End(-signal.SIGKILL, 30.0, steps=3)
    waits = [lives.after(short) for _ in range(len(BACK_OFF_S) + 2)]
    assert [each.wait_s for each in waits if isinstance(each, Again)] == [*BACK_OFF_S, *BACK_OFF_S[-1:] * 2]
    again = lives.after(End(-signal.SIGKILL, LONG_LIFE_S, steps=900))
    assert isinstance(again, Again)
    assert again.wait_s == BACK_OFF_S[0]


def test_a_memory_limit_that_was_too_small_is_named_with_what_to_give() -> None:
    limit = 400 * 2**20
    sure = End(-signal.SIGKILL, 9.0, doing="loading the model", memory_limit=limit, out_of_memory=True)
    text = how_it_ended(sure)
    assert "was killed (last activity: loading the model): memory ran out" in text
    assert "the limit of this container or unit is 400 MiB; give it 1 GiB or more" in text
    perhaps = how_it_ended(End(-signal.SIGKILL, 9.0, memory_limit=limit))
    assert "as it does when memory runs out, or by a person's kill -9" in perhaps
    assert "400 MiB" in perhaps
    assert "MiB" not in how_it_ended(KILLED)
