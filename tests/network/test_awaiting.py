"""How long calls are waited for, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from swarmd.network.awaiting import ENOUGH, LATE_MAX, PROMPT_S, Calls, Lateness
from swarmd.network.simulation import run_simulated

SECONDS_MAX = 10.0


class Asking:
    """Calls that answer after some seconds; `took` is how long all together were waited for."""

    def __init__(self, lateness: Lateness | None = None) -> None:
        self.lateness = lateness or Lateness()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    async def wait(
        self,
        seconds: Mapping[int, float],
        contacts: frozenset[int] = frozenset(),
        silent: frozenset[int] = frozenset(),
    ) -> tuple[set[int], float]:
        """Ask nodes, each of which takes so many seconds. Returns who answered, and how long it took."""

        async def answer(node: int) -> str | None:
            await asyncio.sleep(seconds[node])
            return None if node in silent else "yes"

        loop = asyncio.get_running_loop()
        began = loop.time()
        calls: Calls[int, str] = Calls(self.spawn, self.lateness, SECONDS_MAX)
        for node in seconds:
            calls.start(node, node, partial(answer, node), contact=node in contacts)
        heard = set()
        while calls.waited_for:
            heard |= {node for node, said in await calls.some() if said is not None}
        return heard, loop.time() - began

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)


PROMPT = dict.fromkeys(range(ENOUGH), 0.125)


def test_the_last_call_may_expire_between_the_look_whether_it_is_waited_for_and_the_waiting() -> None:
    async def scenario() -> None:
        asking = Asking()
        calls: Calls[int, str] = Calls(asking.spawn, asking.lateness, seconds_max=PROMPT_S)
        calls.start(0, 0, partial(asyncio.sleep, 2 * PROMPT_S, "yes"), contact=False)
        assert calls.waited_for
        await asyncio.sleep(PROMPT_S)
        assert await calls.some() == []
        await asking.close()

    run_simulated(scenario())


def test_a_slow_node_is_not_waited_for_once_enough_have_answered() -> None:
    async def scenario() -> None:
        asking = Asking()
        assert await asking.wait({**PROMPT, 10: 1.25}) == (set(PROMPT), PROMPT_S)
        await asking.close()

    run_simulated(scenario())


def test_a_node_that_was_late_is_asked_again_but_costs_no_time_until_it_is_prompt() -> None:
    async def scenario() -> None:
        asking = Asking()
        await asking.wait({10: 1.25})
        assert await asking.wait({**PROMPT, 10: 1.25}) == (set(PROMPT), 0.125)
        await asking.close()
        assert await asking.wait({**PROMPT, 10: 0.0625}) == ({*PROMPT, 10}, 0.125)
        await asking.close()
        assert await asking.wait({**PROMPT, 10: 0.5}) == ({*PROMPT, 10}, 0.5)

    run_simulated(scenario())


def test_a_contact_is_waited_for_until_its_call_ends() -> None:
    async def scenario() -> None:
        asking = Asking()
        contacts = frozenset({10})
        for _ in range(2):  # although it was late the first time
            assert await asking.wait({**PROMPT, 10: 1.25}, contacts) == ({*PROMPT, 10}, 1.25)

    run_simulated(scenario())


def test_the_answer_of_one_contact_is_enough() -> None:
    async def scenario() -> None:
        asking = Asking()
        assert await asking.wait({10: 0.125, 11: 1.25}, frozenset({10})) == ({10}, PROMPT_S)
        await asking.close()

    run_simulated(scenario())


def test_where_all_are_far_away_all_are_waited_for() -> None:
    async def scenario() -> None:
        far = dict.fromkeys(range(3), 1.25)
        asking = Asking()
        for _ in range(2):
            assert await asking.wait(far) == (set(far), 1.25)

    run_simulated(scenario())


def test_silence_is_no_answer() -> None:
    async def scenario() -> None:
        asking = Asking()
        seconds = {**dict.fromkeys(range(8), 0.125), 10: 1.25}
        assert await asking.wait(seconds, silent=frozenset(range(8))) == ({10}, 1.25)

    run_simulated(scenario())


def test_a_call_is_reported_late_once_and_at_once_if_its_node_was_late_before() -> None:
    async def scenario() -> None:
        asking, loop = Asking(), asyncio.get_running_loop()
        for waited in (PROMPT_S, 0.0):
            calls: Calls[str, str] = Calls(asking.spawn, asking.lateness, SECONDS_MAX)
            began = loop.time()
            calls.start(1, "slow", partial(asyncio.sleep, 1.25, "yes"), contact=True)
            late = calls.late()
            while not late:
                assert await calls.some() == []
                late = calls.late()
            assert (late, loop.time() - began) == (["slow"], waited)
            assert calls.late() == []
            assert await calls.some() == [("slow", "yes")], "a contact is awaited nevertheless"

    run_simulated(scenario())


def test_no_wait_is_longer_than_its_bound() -> None:
    async def scenario() -> None:
        asking = Asking()
        assert await asking.wait({1: 60.0}, frozenset({1})) == (set(), SECONDS_MAX)
        await asking.close()

    run_simulated(scenario())


def test_a_bounded_number_of_late_nodes_is_remembered() -> None:
    lateness = Lateness()
    for node in range(LATE_MAX + 1):
        lateness.began(node)
        lateness.took(node, 2 * PROMPT_S)
    assert 0 not in lateness
    assert 1 in lateness


def test_a_late_node_keeps_waiting_until_its_last_call_has_ended() -> None:
    lateness = Lateness()
    for _ in range(2):
        lateness.began(1)
    assert not lateness.keeps_waiting(1)
    lateness.took(1, 2 * PROMPT_S)
    assert lateness.keeps_waiting(1)
    lateness.took(1, 2 * PROMPT_S)
    assert not lateness.keeps_waiting(1)
    assert 1 in lateness
