"""Which own groups are trained on again."""

from __future__ import annotations

import json
from dataclasses import replace

from swarmd.experiment.replay import Replay
from swarmd.groups import ScoredCompletion, ScoredGroup
from tests.daemon.fakes import external_group


def taught(number: int, round_: int) -> ScoredGroup:
    """An own group whose rewards differ."""
    completions = (
        ScoredCompletion("yes", 1.0, True, token_ids=(1, 2), logprobs=(-0.1, -1 / 3)),
        ScoredCompletion("no", 0.0, False, token_ids=(3,), logprobs=(-2.5,)),
    )
    group = external_group(number, publisher="me", round_=round_)
    return replace(group, completions=completions, digest=None, external=False)


def taught_nothing(round_: int) -> ScoredGroup:
    group = taught(99, round_)
    return replace(group, completions=group.completions[1:])


def test_only_as_many_are_used_again_as_are_missing() -> None:
    replay = Replay(rounds=6, uses=4)
    first = [taught(1, 0), taught(2, 0)]
    assert replay.fill(first, wanted=2, round_=0) == ()
    assert len(replay.fill([taught(3, 1), taught_nothing(1)], wanted=2, round_=1)) == 1
    assert replay.fill([taught(4, 2), taught(5, 2)], wanted=2, round_=2) == ()


def test_the_least_used_come_first_and_the_newest_of_these() -> None:
    replay = Replay(rounds=6, uses=4)
    old, new = taught(1, 0), taught(2, 1)
    replay.fill([old], wanted=1, round_=0)
    replay.fill([new], wanted=1, round_=1)
    assert replay.fill([], wanted=1, round_=2) == (new,)
    assert replay.fill([], wanted=1, round_=3) == (old,)


def test_a_group_is_used_no_more_often_and_no_later_than_said() -> None:
    often = Replay(rounds=100, uses=3)
    often.fill([taught(1, 0)], wanted=1, round_=0)
    assert [len(often.fill([], wanted=1, round_=round_)) for round_ in range(1, 5)] == [1, 1, 0, 0]
    briefly = Replay(rounds=2, uses=100)
    briefly.fill([taught(1, 0)], wanted=1, round_=0)
    assert [len(briefly.fill([], wanted=1, round_=round_)) for round_ in range(1, 4)] == [1, 0, 0]


def test_what_taught_nothing_is_not_kept() -> None:
    replay = Replay(rounds=6, uses=4)
    replay.fill([taught_nothing(0)], wanted=1, round_=0)
    assert replay.fill([], wanted=8, round_=1) == ()


def test_it_goes_on_from_its_state_as_json_holds_it() -> None:
    replay = Replay(rounds=6, uses=2)
    replay.fill([taught(1, 0), taught(2, 0)], wanted=2, round_=0)
    replay.fill([], wanted=1, round_=1)
    other = Replay(rounds=6, uses=2)
    other.restore(json.loads(json.dumps(replay.to_state())))
    assert other.fill([], wanted=9, round_=2) == replay.fill([], wanted=9, round_=2) != ()
