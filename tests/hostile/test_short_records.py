"""The attacks by records of turns, images, judged tasks and environments in short: what a peer's verification
makes of them."""

from __future__ import annotations

import importlib.util
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol import Manifest, RejectedRecord, is_digest_held_out, verify_record
from swarmd.groups import ScoredGroup
from swarmd.judges import Panel
from swarmd.step.verification import Unjudged, Verification
from swarmd.tasks import FOR_PEERS, TaskRunner, load_manifest
from tests.hostile.attacks import environments, images, judges, turns
from tests.hostile.forging import Forged, Forger
from tests.hostile.publishing import Asked, answer, ask, draw
from tests.hostile.swarms import written

SEED = 7

Write = Callable[[Forger, Asked, int], Forged]


async def outcomes(
    manifest: Manifest, asked: Asked, write: Write, numbers: range, panel: Panel | None = None
) -> list[Any]:
    """What becomes of the groups of these numbers at a peer; a refusal of the record itself included. All
    their publishers are one party."""
    forger, records = Forger(manifest, 1), []
    found: list[Any] = []
    for number in numbers:
        body = write(forger, asked, number).body
        try:
            records.append(verify_record(body, manifest=manifest, now=time.time()))
        except RejectedRecord as error:
            found.append(error)
    async with TaskRunner(reward=manifest.reward, options=FOR_PEERS) as runner:
        for record in records:
            found += await Verification(
                manifest=manifest, tasks=runner, panel=panel, party=lambda _: "strangers"
            ).check([record])
    return found


def trainable(manifest: Manifest, dataset: str) -> Asked:
    """A question of that dataset which is not held out."""
    family = next(family for family in manifest.tasks if dataset in (family.name, family.dataset))
    asked = (ask(family, seed) for seed in range(SEED, SEED + 100))
    return next(each for each in asked if not is_digest_held_out(each.digest))


@pytest.fixture
def swarm(tmp_path: Path) -> Manifest:
    return load_manifest(written(turns.SWARM, tmp_path))


@pytest.mark.parametrize("write", [turns.lie, turns.malformed])
async def test_no_lie_about_turns_is_worth_anything(swarm: Manifest, write: Write) -> None:
    found = await outcomes(swarm, trainable(swarm, "guessing-20"), write, range(8))
    assert len(found) == 8
    assert all(isinstance(each, RejectedRecord) or not any(each.rewards) for each in found)
    assert any(isinstance(each, RejectedRecord) for each in found)


async def test_a_group_of_as_many_turns_as_fit_is_true(swarm: Manifest) -> None:
    [group] = await outcomes(swarm, trainable(swarm, turns.LONGEST_TASK), turns.costly, range(1))
    assert isinstance(group, ScoredGroup)
    assert sum(group.rewards) == len(group.rewards) / 2


async def test_no_lie_about_images_is_worth_anything() -> None:
    manifest = load_manifest("visual")
    found = await outcomes(manifest, trainable(manifest, "count"), images.lie, range(len(images.LIES)))
    assert len(found) == len(images.LIES)
    assert all(isinstance(each, RejectedRecord) or not any(each.rewards) for each in found)
    assert sum(isinstance(each, RejectedRecord) for each in found) == len(images.LIES) - 1


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Manifest, Asked, Panel]:
    """A swarm with judges, one of its questions, and judges who heard an honest peer's vote on it."""
    manifest = load_manifest(written(judges.SWARM, tmp_path))
    family = next(family for family in manifest.tasks if family.name == "judged-gcd")
    asked, panel = draw(family, random.Random(SEED)), Panel(manifest)
    panel.hear(asked.digest, "honest", [answer(asked.right)] * 4)
    return manifest, asked, panel


async def test_no_lie_to_judges_is_worth_anything(judged: tuple[Manifest, Asked, Panel]) -> None:
    manifest, asked, panel = judged
    found = await outcomes(manifest, asked, judges.lie, range(len(judges.LIES) + 1), panel)
    assert len(found) == len(judges.LIES) + 1
    assert all(isinstance(each, RejectedRecord | Unjudged) or not any(each.rewards) for each in found)


async def test_siblings_that_agree_on_a_mistake_have_no_vote_on_one_another(
    judged: tuple[Manifest, Asked, Panel],
) -> None:
    manifest, asked, panel = judged
    found = await outcomes(manifest, asked, judges.vote, range(8), panel)
    assert [each.rewards for each in found] == [(0.0,) * 7 + (1.0,)] * 8


@pytest.mark.slow  # importing textarena takes as long as everything else here
@pytest.mark.skipif(importlib.util.find_spec("textarena") is None, reason="textarena is not installed")
async def test_no_hostile_move_is_worth_anything_and_a_long_true_game_is_true(tmp_path: Path) -> None:
    manifest = load_manifest(written(environments.SWARM, tmp_path))
    kinds = len(environments.MOVES) + 2
    found = await outcomes(manifest, trainable(manifest, "game"), environments.lie, range(kinds))
    assert len(found) == kinds
    assert all(isinstance(each, RejectedRecord) or not any(each.rewards) for each in found)
    long = trainable(manifest, environments.LONGEST)
    [group] = await outcomes(manifest, long, environments.costly, range(1))
    assert sum(group.rewards) == len(group.rewards) / 2
