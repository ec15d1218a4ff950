"""Who keeps what it said that it holds."""

from __future__ import annotations

from swarmd.network.promises import BROKEN_MAX, CHECK_S, LEFT_S, NODES_MAX, PROMISES_MAX, Promises

NODE = 1


def broken(promises: Promises, node: int, now: float, times: int = BROKEN_MAX) -> None:
    for key in range(times):
        promises.made(node, key, b"entry", now + 60.0, now)
        promises.checked(node, key, (), now + 1.0, now + 1.0)


def test_a_node_that_gives_nothing_back_is_left_and_one_that_does_is_not() -> None:
    promises = Promises()
    broken(promises, NODE, 0.0, BROKEN_MAX - 1)
    assert not promises.breaks(NODE, 1.0)
    broken(promises, NODE, 10.0, 1)
    assert promises.breaks(NODE, 11.0)
    assert not promises.breaks(NODE + 1, 11.0)


def test_it_is_given_another_chance_later_or_once_it_gives_something_back() -> None:
    promises = Promises()
    broken(promises, NODE, 0.0)
    assert not promises.breaks(NODE, 1.0 + LEFT_S)
    broken(promises, NODE, 0.0)
    promises.made(NODE, 9, b"entry", 60.0, 0.0)
    promises.checked(NODE, 9, (b"entry",), 2.0, 2.0)
    assert not promises.breaks(NODE, 2.0)


def test_an_entry_that_others_pushed_out_of_a_full_key_is_no_broken_promise() -> None:
    promises = Promises()
    for key in range(10):
        promises.made(NODE, key, b"kept", 60.0, 0.0)
        promises.made(NODE, key, b"pushed out", 60.0, 0.0)
        promises.checked(NODE, key, (b"kept",), 1.0, 1.0)
    assert not promises.breaks(NODE, 1.0)


def test_nothing_is_missed_that_expired_or_was_promised_after_the_question() -> None:
    promises = Promises()
    for key in range(10):
        promises.made(NODE, key, b"entry", 5.0, 2.0)
        promises.checked(NODE, key, (), 2.0, 2.5)
        promises.checked(NODE, key, (), 4.0, 6.0)
    assert not promises.breaks(NODE, 6.0)


def test_an_entry_that_was_lost_counts_once_however_often_it_is_looked_for() -> None:
    promises = Promises()
    promises.made(NODE, 1, b"entry", 60.0, 0.0)
    for moment in range(1, 10):
        promises.checked(NODE, 1, (), float(moment), float(moment))
    assert not promises.breaks(NODE, 10.0)


def test_a_key_is_looked_at_once_after_a_promise_and_then_left_alone_for_a_while() -> None:
    promises = Promises()
    assert not promises.to_check(1, 0.0)
    promises.made(NODE, 1, b"entry", 900.0, 0.0)
    assert promises.to_check(1, 1.0)
    promises.checked(NODE, 1, (b"entry",), 1.0, 1.0)
    assert not promises.to_check(1, CHECK_S)
    assert promises.to_check(1, 1.0 + CHECK_S)


def test_a_key_under_which_something_was_lost_is_looked_at_again_at_once() -> None:
    promises = Promises()
    promises.made(NODE, 1, b"entry", 900.0, 0.0)
    assert promises.to_check(1, 1.0)
    promises.checked(NODE, 1, (), 1.0, 1.0)
    assert promises.to_check(1, 2.0)


def test_what_is_remembered_is_bounded() -> None:
    promises = Promises()
    promises.made(NODE, 1, b"entry", 60.0, 0.0)
    for key in range(PROMISES_MAX):
        promises.made(NODE + 1, key, b"entry", 60.0, 0.0)
    promises.checked(NODE, 1, (), 1.0, 1.0)
    assert not promises.breaks(NODE, 1.0, times=1)
    for key in range(PROMISES_MAX + 1):
        promises.made(NODE, key + 1_000_000, b"entry", 60.0, 0.0)
    assert not promises.to_check(1_000_000, 1.0)
    assert promises.to_check(1_000_001, 1.0)
    for node in range(NODES_MAX + 1):
        broken(promises, node, 0.0)
    assert not promises.breaks(0, 1.0)
    assert promises.breaks(1, 1.0)


def test_a_promise_is_forgotten_with_what_was_promised() -> None:
    promises = Promises()
    lives_s = 60
    for second in range(1_000):
        promises.made(NODE, second, b"entry", float(second + lives_s), float(second))
    assert len(promises._promises) == lives_s
    assert len(promises._checked) == lives_s
