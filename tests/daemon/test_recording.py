"""Each step leaves a line in the home, and counts for the metrics."""

from __future__ import annotations

import json

from swarmd.daemon.phase_clock import PhaseClock
from tests.daemon.step_peer import ROUND


async def test_each_step_leaves_one_line_in_the_home(make_peer, run, home):
    one = make_peer(steps=3)
    loop = await run(one)
    lines = [json.loads(line) for line in home.steps_path.read_text().splitlines()]
    assert [(line["step"], line["round"]) for line in lines] == [(1, ROUND), (2, ROUND), (3, ROUND)]
    last = lines[-1]
    assert set(last["phase_seconds"]) == {"questions", "generating", "scoring", "training"}
    assert sum(last["phase_seconds"].values()) <= last["seconds"] * 1.01
    assert last["completion_tokens_mean"] == last["tokens_generated"] / 4
    assert 0 <= last["completions_finished"] <= 1
    assert (last["memory_bytes"], last["pulled_bytes"], last["served_bytes"]) == (1_000, 20, 30)
    assert loop.recorder.tokens_generated == sum(line["tokens_generated"] for line in lines)
    durations = loop.recorder.durations.view()
    assert {name: sum(each.counts) for name, each in durations.items() if name in ("step", "generating")} == {
        "step": 3,
        "generating": 3,
    }


def test_phases_add_up_within_a_step_and_what_came_before_is_left_out():
    now, ended = 0.0, []
    clock = PhaseClock(lambda phase, seconds: ended.append((phase, seconds)), monotonic=lambda: now)
    clock.enter("checkpoint")
    now = 5.0
    clock.begin_step()
    for phase, at in (("generating", 6.0), ("generating", 7.0), ("training", 9.0), ("generating", 10.0)):
        clock.enter(phase)
        now = at
    assert clock.seconds() == {"generating": 3.0, "training": 2.0}
    assert ended == [("checkpoint", 5.0), ("between steps", 0.0), ("generating", 2.0), ("training", 2.0)]
