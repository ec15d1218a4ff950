"""Chaos in simulated time: whom it hits, when, and when a peer counts as back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from swarmd.testnet import chaos as module
from swarmd.testnet.board import Board
from swarmd.testnet.chaos import FROZEN_S, KILLS_MAX, Chaos
from tests.testnet.making import NOW, event, made, stepped, under_way

MOMENTS_MAX = 2_000  # of simulated time: a chaos that never ends fails instead of hanging


@dataclass
class Hands:
    """Notes what is done."""

    done: list[tuple[float, str, str]] = field(default_factory=list)
    clock: Callable[[], float] = float

    def _do(self, what: str, label: str) -> bool:
        self.done.append((self.clock(), what, label))
        return True

    def kill(self, label: str) -> bool:
        return self._do("kill", label)

    def freeze(self, label: str) -> bool:
        return self._do("freeze", label)

    def thaw(self, label: str) -> bool:
        return self._do("thaw", label)

    def restart(self, label: str) -> bool:
        return self._do("restart", label)


class World:
    """Peers that take a step at each moment of simulated time, unless something was done to them."""

    def __init__(self, board: Board, seed: int = 1, steps: int | None = None, until: float = 300.0) -> None:
        self.board, self.now, self.until, self.moments = board, 0.0, until, 0
        self.hands = Hands(clock=lambda: self.now)
        self.said: list[tuple[str, str]] = []
        self.comes_back = True
        self.chaos = Chaos(
            board,
            self.hands,
            random.Random(seed),
            lambda label, what: self.said.append((label, what)),
            lambda: self.now,
            self.sleep,
            steps,
        )
        for label in board.rows:
            under_way(board, label)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.moments += 1
        if self.now >= self.until or self.moments > MOMENTS_MAX:
            self.chaos.stopped = True
            return
        if not self.comes_back:
            return
        for label, row in list(self.board.rows.items()):
            if row.trouble in ("killed", "restarted"):
                self.board.heard(label, event("started"), NOW)
            stepped(self.board, label, row.state.step + 1)
            self.chaos.heard(label)


@pytest.fixture
def world(tmp_path) -> World:
    _, board = made(tmp_path, 3)
    return World(board)


async def test_all_kinds_happen_and_all_come_back(world) -> None:
    await world.chaos.run()
    assert {fault.kind for fault in world.chaos.faults} == {"killed", "frozen", "restarted"}
    assert len({fault.label for fault in world.chaos.faults}) == 3
    assert world.chaos.missing == []
    assert all(fault.back_after_s is not None for fault in world.chaos.faults)
    assert sum(what.startswith("back after") for _, what in world.said) == len(world.chaos.faults)


async def test_the_same_seed_does_the_same_again(tmp_path) -> None:
    runs = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        _, board = made(tmp_path / name, 3)
        world = World(board, seed)
        await world.chaos.run()
        numbers = {label: row.number for label, row in board.rows.items()}
        runs.append([(at, what, numbers[label]) for at, what, label in world.hands.done])
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(("peers", "most"), [(2, 1), (3, 2), (4, 2), (5, 3)])
async def test_while_half_of_all_are_not_back_nobody_is_hit_and_nobody_twice(
    tmp_path, peers: int, most: int
) -> None:
    _, board = made(tmp_path, peers)
    world = World(board)
    world.comes_back = False
    await world.chaos.run()
    hit = [label for _, what, label in world.hands.done if what != "thaw"]
    assert len(hit) == len(set(hit)) == most
    assert world.chaos.missing == hit


async def test_whoever_is_frozen_is_thawed_in_time(world) -> None:
    await world.chaos.run()
    frozen = [(at, label) for at, what, label in world.hands.done if what == "freeze"]
    thawed = [(at, label) for at, what, label in world.hands.done if what == "thaw"]
    assert frozen
    assert thawed == [(at + FROZEN_S, label) for at, label in frozen]


async def test_a_freeze_that_is_cut_short_is_thawed_too(world, monkeypatch) -> None:
    monkeypatch.setattr(module, "KINDS", ("frozen",))
    sleep = world.sleep

    async def cancelled(seconds: float) -> None:
        await sleep(seconds)
        if seconds == FROZEN_S:
            raise asyncio.CancelledError

    world.chaos.sleep = cancelled
    with pytest.raises(asyncio.CancelledError):
        await world.chaos.run()
    assert [what for _, what, _ in world.hands.done] == ["freeze", "thaw"]


async def test_after_some_kills_a_peer_is_restarted_in_order(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "KINDS", ("killed",))
    _, board = made(tmp_path, 2)
    world = World(board)
    await world.chaos.run()
    [label, _] = board.rows
    kinds = [what for _, what, hit in world.hands.done if hit == label]
    assert len(kinds) > KILLS_MAX
    assert kinds[: KILLS_MAX + 2] == ["kill"] * KILLS_MAX + ["restart", "kill"]


async def test_a_step_before_the_new_life_does_not_count_as_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "KINDS", ("restarted",))
    _, board = made(tmp_path, 2)
    world = World(board)
    world.comes_back = False
    await world.chaos.run()
    [label] = world.chaos.missing
    stepped(board, label, 2)
    world.chaos.heard(label)
    assert world.chaos.missing == [label]
    board.heard(label, event("started"), NOW)
    stepped(board, label, 3)
    world.chaos.heard(label)
    assert world.chaos.missing == []


async def test_peers_that_are_nearly_done_are_left_alone(tmp_path) -> None:
    _, board = made(tmp_path, 2)
    world = World(board, steps=2)
    await world.chaos.run()
    assert world.hands.done == []


async def test_it_ends_when_all_peers_have_ended(world) -> None:
    for label in world.board.rows:
        world.board.change(label, over="done")
    await world.chaos.run()
    assert world.hands.done == []
    assert world.now < 10
