"""Rules that compare answers to one question: all nodes are asked the same, or the rule is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment import Experiment
from swarmd.experiment.exchanges.interface import ProcessExchange
from swarmd.tasks import Score
from tests.daemon.fakes import KnownTasks, every_other
from tests.experiment.making import MANIFEST, Watched, make_config, run


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


def every_other_but_not_bare(position: int, _: str) -> Score:
    """Rewards 0, 1, 0, 1 for answers in a form that is not the dataset's."""
    return Score(float(position % 2), bare=False)


async def test_rules_that_compare_answers_get_groups_without_a_bare_answer_too(tiny_model_dir, tmp_path):
    def learning(rule: str) -> dict[str, Any]:
        return {
            "name": rule,
            "local": 2,
            "external": 2,
            "learning": {"external_baseline": rule, "external_tokens": "verified"},
        }

    rules = ("group", "xgrpo", "sgt", "hacpo")
    config = make_config(
        tiny_model_dir,
        rounds=1,
        evaluate_every=10,
        held_out_questions=1,
        configurations=[learning(rule) for rule in rules],
    )
    await run(config, tmp_path, score_by=every_other_but_not_bare)
    drawn = {}
    for rule in rules:
        [journal] = tmp_path.glob(f"runs/*{rule}*/rounds.jsonl")
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        drawn[rule] = [
            sum(task["groups"] for task in line["external_by_task"].values())
            for line in lines
            if line["kind"] == "node"
        ]
    assert drawn == {"group": [0, 0], "xgrpo": [2, 2], "sgt": [2, 2], "hacpo": [2, 2]}


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
