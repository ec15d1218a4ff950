"""Rules that compare answers to one question: all nodes are asked the same, or the rule is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment import Experiment
from swarmd.experiment.exchanges.interface import ProcessExchange
from tests.daemon.fakes import KnownTasks, every_other
from tests.experiment.making import MANIFEST, Watched, make_config


async def questions_asked(folder: Path, model: Path, **learning: Any) -> int:
    """How many different questions two nodes trained on in two rounds of two groups each."""
    config = make_config(
        model,
        rounds=2,
        evaluate_every=10,
        held_out_questions=1,
        configurations=[{"local": 2, "external": 2, "learning": learning}],
    )
    tasks = KnownTasks(every_other)
    await Experiment(config, MANIFEST, folder, tasks, Watched(), ProcessExchange(), taken_wait_s=0).run()
    held_out = {spec.seed for spec in tasks.scored if tasks._question(spec).held_out}
    return len({spec.seed for spec in tasks.scored} - held_out)


async def test_all_nodes_are_asked_the_same_questions_by_rules_that_compare_them(tiny_model_dir, tmp_path):
    assert await questions_asked(tmp_path / "own", tiny_model_dir) == 8
    for rule in ("xgrpo", "sgt", "hacpo"):
        assert await questions_asked(tmp_path / rule, tiny_model_dir, external_baseline=rule) == 4


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"nodes": 3}, "set external to 4"),
        ({"exchange": "daemons"}, "use exchange process"),
        ({"node_tasks": [["toy"], ["toy"]]}, "node_tasks"),
    ],
)
async def test_nodes_that_cannot_be_asked_the_same_are_refused(tiny_model_dir, tmp_path, given, named):
    config = make_config(tiny_model_dir, learning={"external_baseline": "sgt"}, **given)
    tasks = KnownTasks(every_other)
    with pytest.raises(ConfigError, match=named):
        await Experiment(config, MANIFEST, tmp_path, tasks, Watched(), ProcessExchange()).run()
