"""What is read of an honest daemon's home."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from swarmd.storage import Database
from swarmd.tasks import load_manifest
from tests.daemon.fakes import external_group
from tests.hostile.daemons import Honest


def test_rewards_are_counted_by_publisher_and_dataset(tmp_path: Path) -> None:
    honest, manifest = Honest(tmp_path, "v"), load_manifest("starter")
    honest.home.write_manifest(manifest.to_bytes())
    first, second = manifest.tasks[:2]
    with Database(honest.home.database_path) as database:
        for number, task in enumerate((first, first, second)):
            group = replace(external_group(number, publisher="forger"), task_id=task.task_id)
            database.pool.add(group, now=0.0)
    assert honest.paid() == Counter({("forger", first.dataset): 2, ("forger", second.dataset): 1})
