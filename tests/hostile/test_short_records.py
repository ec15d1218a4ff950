"""The attacks by records of turns and of images in short: what a peer's verification makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol import Manifest, RejectedRecord, is_digest_held_out, verify_record
from swarmd.groups import ScoredGroup
from swarmd.learning.reading import TIMES_MAX, bytes_read, shortened
from swarmd.step.verification import Verification
from swarmd.tasks import FOR_PEERS, TaskRunner, load_manifest
from tests.hostile.attacks import images, turns
from tests.hostile.forging import Forged, Forger
from tests.hostile.publishing import Asked, ask
from tests.hostile.swarms import written

SEED = 7

Write = Callable[[Forger, Asked, int], Forged]


async def outcomes(manifest: Manifest, asked: Asked, write: Write, numbers: range) -> list[Any]:
    """What becomes of the groups of these numbers at a peer; a refusal of the record itself included."""
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
            found += await Verification(manifest=manifest, tasks=runner).check([record])
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


async def test_a_true_group_of_as_many_turns_as_fit_is_trained_on_in_part(swarm: Manifest) -> None:
    [group] = await outcomes(swarm, trainable(swarm, turns.LONGEST_TASK), turns.costly, range(1))
    assert isinstance(group, ScoredGroup)
    assert sum(group.rewards) == len(group.rewards) / 2
    usual = 2_000.0
    [kept] = shortened([group], usual)
    assert bytes_read(kept) <= TIMES_MAX * usual < bytes_read(group) / 10


async def test_no_lie_about_images_is_worth_anything() -> None:
    manifest = load_manifest("visual")
    found = await outcomes(manifest, trainable(manifest, "count"), images.lie, range(len(images.LIES)))
    assert len(found) == len(images.LIES)
    assert all(isinstance(each, RejectedRecord) or not any(each.rewards) for each in found)
    assert sum(isinstance(each, RejectedRecord) for each in found) == len(images.LIES) - 1
