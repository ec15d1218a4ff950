"""Judges that a person named here, in swarms that ask for them and in those that do not."""

from __future__ import annotations

import pytest

from protocol import TaskFamily, canonical_json
from swarmd.config import LearningConfig
from swarmd.daemon.judging import unused_judges
from tests.gossip.making import make_manifest


@pytest.mark.parametrize(
    ("asked", "given", "warned"),
    [
        ([], {}, []),
        (
            [],
            {"judge": "./mine"},
            ["--judge ./mine is not used: no task of this swarm names a judge of kind"],
        ),
        (["generative"], {"judge": "./mine"}, []),
        (["generative"], {"reward_model": "./mine"}, ["--reward-model ./mine is not used"]),
        (["generative", "reward_model"], {"judge": "a", "reward_model": "b"}, []),
    ],
)
def test_a_judge_that_the_swarm_asks_for_nowhere_is_warned_of(asked, given, warned) -> None:
    manifest = make_manifest(tasks=2)
    config = canonical_json({"judges": [{"kind": kind, "model": "embedded"} for kind in asked]})
    judged = TaskFamily(**{**manifest.tasks[1].model_dump(), "config": config if asked else "{}"})
    manifest = manifest.model_copy(update={"tasks": (manifest.tasks[0], judged)})
    said = list(unused_judges(manifest, LearningConfig(**given)))
    assert len(said) == len(warned)
    assert all(line.startswith(start) for line, start in zip(said, warned, strict=True))
