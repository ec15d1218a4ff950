"""What a daemon is told by its home, and what its home tells of the steps it took."""

from __future__ import annotations

import dataclasses

import pytest

from swarmd.config import LearningConfig, PolicyConfig, load_config
from swarmd.errors import StorageError
from swarmd.experiment.exchanges.node_homes import HOST, address_of, lines_of, make_home, write_settings
from swarmd.experiment.journal import Journal
from swarmd.experiment.seeding import node_key
from swarmd.fleet import give_ports
from swarmd.learning import StepMetrics
from swarmd.storage import Database, Home
from tests.experiment.making import MANIFEST


def homes(tmp_path) -> list[Home]:
    made = [make_home(tmp_path / f"node-{n}", node_key(0, n), MANIFEST) for n in range(2)]
    give_ports(made, HOST)
    return made


def test_a_home_has_the_nodes_identity_and_the_experiments_settings(tmp_path) -> None:
    first, second = homes(tmp_path)
    learning = LearningConfig(local=2, external=3, learning_rate=1e-6, group_size=4)
    policy = PolicyConfig(model="/some \U0001f41d model", memory_limit="40%")
    others = [address_of(second)]
    write_settings(first, MANIFEST, others, policy=policy, learning=learning, checkpoint_every=7)
    config = load_config(first.path, {})
    assert first.key().peer_id == node_key(0, 0).peer_id
    assert first.manifest() == MANIFEST
    assert (config.swarm, config.learning, config.policy) == (MANIFEST.swarm_id.hex(), learning, policy)
    assert (list(config.network.peers), config.network.host) == (others, "127.0.0.1")
    assert config.storage.checkpoint_every == 7
    ports = [home.read_port() for home in (first, second)]
    assert [home.read_port() for home in homes(tmp_path)] == ports, "kept by a home that exists"


def metrics(**given: float) -> dict[str, object]:
    empty = dict.fromkeys((field.name for field in dataclasses.fields(StepMetrics)), None)
    counts = {"groups_own": 3, "groups_own_used": 1, "groups_external": 1, "groups_external_used": 1}
    of_the_step = {"external_peers": 1, "tokens_generated": 50, "seconds": 2.5}
    return {**empty, **counts, **of_the_step, "round": 900, **given}


def record(home: Home, *steps: int) -> None:
    with Database(home.database_path) as database:
        for step in steps:
            written = metrics(reward_own=0.2, reward_external=0.6)
            database.steps.record(step, reward=0.2, metrics=written, now=0)


def test_each_step_becomes_the_line_of_a_round(tmp_path) -> None:
    home, _ = homes(tmp_path)
    record(home, 1, 2)
    first, second = lines_of(home, 0, 2)
    assert (first["round"], second["round"], first["swarm_round"]) == (0, 1, 900)
    assert first["reward_own"] == 0.2
    assert first["reward_mixed"] == pytest.approx(0.3)  # three groups of 0.2 and one of 0.6
    assert first["external_share"] == 0.5
    assert (first["tokens_generated"], first["seconds"]) == (50, {"step": 2.5})


def test_a_step_whose_update_was_left_out_fits_into_json(tmp_path) -> None:
    home, _ = homes(tmp_path)
    with Database(home.database_path) as database:
        written = metrics(reward_own=0.2, loss=float("nan"))
        database.steps.record(1, reward=0.2, metrics=written, now=0)
    [line] = lines_of(home, 0, 1)
    Journal(tmp_path / "rounds.jsonl").append([line])
    assert line["metrics"]["loss"] is None


def test_a_home_without_all_its_steps_is_refused(tmp_path) -> None:
    home, _ = homes(tmp_path)
    record(home, 1, 3)
    with pytest.raises(StorageError, match="2 of 3 steps"):
        lines_of(home, 0, 3)
