"""Whole experiments of a tiny model: what is written, that the seed decides, that a kill costs nothing."""

from __future__ import annotations

import errno
import fcntl
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from swarmd.errors import ConfigError, StorageError
from swarmd.experiment import Experiment
from swarmd.experiment.metering import PHASES, RECORDED
from swarmd.experiment.run import claimed
from swarmd.policy import Policy, Sample
from swarmd.storage import Checkpoints
from swarmd.tasks import Score
from tests.daemon.fakes import KnownTasks, every_other
from tests.experiment.making import (
    MANIFEST,
    EveryThirdGroup,
    KilledError,
    Lines,
    TwoTurns,
    Watched,
    make_config,
    run,
)


def read(folder: Path) -> dict[str, Lines]:
    files = sorted((folder / "runs").glob("*/rounds.jsonl"))
    return {path.parent.name: [json.loads(line) for line in path.read_text().splitlines()] for path in files}


def course(folder: Path) -> dict[str, Lines]:
    """Everything but how long it took, how much memory was free, and that it was resumed."""
    return {
        name: [
            {key: value for key, value in line.items() if key not in ("seconds", "cpu_seconds", "plan")}
            for line in lines
            if line["kind"] != "resumed"
        ]
        for name, lines in read(folder).items()
    }


def of_kind(lines: Lines, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind]


async def test_every_node_of_every_round_is_written_and_groups_travel(tiny_model_dir, tmp_path) -> None:
    await run(make_config(tiny_model_dir), tmp_path)
    [lines] = read(tmp_path).values()
    assert [line["kind"] for line in lines] == [
        "run", "held_out", "held_out", "node", "node", "node", "node",
        "held_out", "held_out", "node", "node", "held_out", "held_out", "end",
    ]  # fmt: skip
    assert [(line["round"], line["node"]) for line in of_kind(lines, "node")] == [
        (round_, node) for round_ in range(3) for node in range(2)
    ]
    for line in of_kind(lines, "node"):
        assert (line["groups_published"], line["groups_rejected"]) == (2, 0)
        assert (line["external_share"], line["external_peers"]) == (0.5, 1)
        assert line["tokens_generated"] > 0
        assert line["seconds"].keys() == line["cpu_seconds"].keys() == set(PHASES)
        assert line["units"] == line["units"] | {
            "questions": 2, "tokens_generated": line["tokens_generated"], "completions_scored": 4,
            "records_signed": 2, "records_verified": 2, "updates": 1,
        }  # fmt: skip
        assert 0 < line["units"]["decoding_steps"] <= 6
        assert 0 < line["units"]["tokens_trained_own"] <= line["metrics"]["tokens_own"]
        assert line["units"].keys() == set(RECORDED)
        assert 0 <= line["finished_share"] <= 1
    assert [line["round"] for line in of_kind(lines, "held_out")] == [0, 0, 2, 2, 3, 3]


async def test_a_completion_of_several_turns_finishes_once_and_each_turn_is_decoded(
    tiny_model_dir, tmp_path, monkeypatch
) -> None:
    longest: list[int] = []
    generate = Policy.generate

    def watched(self: Policy, *given: Any, **named: Any) -> list[list[Sample]]:
        written = generate(self, *given, **named)
        longest.append(max(len(sample.token_ids) for row in written for sample in row))
        return written

    monkeypatch.setattr(Policy, "generate", watched)
    monkeypatch.setattr(Policy, "has_ended", lambda self, sample: True)
    config = make_config(tiny_model_dir, nodes=1, rounds=1, configurations=[{"local": 2}])
    await Experiment(config, MANIFEST, tmp_path, TwoTurns(), Watched()).run()
    [lines] = read(tmp_path).values()
    [line] = of_kind(lines, "node")
    first, second = longest[-2:]  # the engine's trial comes before them
    assert line["units"]["decoding_steps"] == first + second
    assert (line["completions_generated"], line["finished_share"]) == (4, 1.0)


async def test_the_seed_alone_decides_the_course(tiny_model_dir, tmp_path) -> None:
    config = make_config(tiny_model_dir, seeds=2)
    await run(config, tmp_path / "a")
    await run(config, tmp_path / "b")
    assert course(tmp_path / "a") == course(tmp_path / "b")
    first, second = (of_kind(lines, "node") for lines in course(tmp_path / "a").values())
    assert [line["metrics"]["loss"] for line in first] != [line["metrics"]["loss"] for line in second]


async def test_a_killed_run_resumes_to_the_same_course(tiny_model_dir, tmp_path) -> None:
    config = make_config(
        tiny_model_dir,
        configurations=[
            {"local": 2, "external": 2, "learning": {"needed_questions": 0.5}},
            {"local": 1, "external": 0},
        ],
    )
    await run(config, tmp_path / "whole")
    before_a_checkpoint, after_one, in_the_second_run = 1, 3, 4
    for kill_after in (before_a_checkpoint, after_one, in_the_second_run):
        folder = tmp_path / str(kill_after)
        with pytest.raises(KilledError):
            await run(config, folder, Watched(kill_after))
        assert course(folder) != course(tmp_path / "whole")
        cut_off_the_last_line(folder)
        await run(config, folder)
        assert course(folder) == course(tmp_path / "whole")
        assert not list(folder.glob("runs/*/checkpoints"))


async def test_a_run_whose_lines_were_removed_begins_again(tiny_model_dir, tmp_path) -> None:
    config = make_config(tiny_model_dir, nodes=1, configurations=[{"local": 1}])
    await run(config, tmp_path / "whole")
    after_a_checkpoint = 3
    with pytest.raises(KilledError):
        await run(config, tmp_path / "damaged", Watched(after_a_checkpoint))
    [lines] = (tmp_path / "damaged").glob("runs/*/rounds.jsonl")
    lines.unlink()
    await run(config, tmp_path / "damaged")
    assert course(tmp_path / "damaged") == course(tmp_path / "whole")


async def test_checkpoints_that_a_kill_left_after_the_end_are_removed_at_the_next_start(
    tiny_model_dir, tmp_path
) -> None:
    config = make_config(tiny_model_dir, nodes=1, rounds=1, configurations=[{"local": 1}])
    await run(config, tmp_path)
    [lines] = tmp_path.glob("runs/*/rounds.jsonl")
    before = lines.read_text()
    left = [lines.parent / name for name in ("checkpoints", "checkpoints-1-of-2")]
    for folder in left:
        (folder / "1").mkdir(parents=True)
    await run(config, tmp_path)
    assert not any(folder.exists() for folder in left)
    assert lines.read_text() == before


async def test_a_run_that_keeps_its_checkpoints_has_one_of_its_last_round(tiny_model_dir, tmp_path) -> None:
    config = make_config(
        tiny_model_dir, nodes=1, rounds=3, keep_checkpoints=True, configurations=[{"local": 1}]
    )
    await run(config, tmp_path)
    [lines] = tmp_path.glob("runs/*/rounds.jsonl")
    assert Checkpoints(lines.parent / "checkpoints", 1).load_latest().step == 3
    await run(config.model_copy(update={"keep_checkpoints": False}), tmp_path)
    assert not (lines.parent / "checkpoints").exists()


def cut_off_the_last_line(folder: Path) -> None:
    newest = max((folder / "runs").glob("*/rounds.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-20])


async def test_a_finished_run_is_not_repeated_and_more_seeds_are_added(tiny_model_dir, tmp_path) -> None:
    await run(make_config(tiny_model_dir), tmp_path)
    before = read(tmp_path)
    watcher = Watched()
    await run(make_config(tiny_model_dir, seeds=2), tmp_path, watcher)
    after = read(tmp_path)
    assert len(before) == 1
    assert len(after) == 2
    assert before.items() <= after.items()
    assert {name for name, _ in watcher.rewards} == after.keys() - before.keys()


async def test_a_run_that_another_process_has_is_left_to_it_and_waited_for(tiny_model_dir, tmp_path) -> None:
    config = make_config(tiny_model_dir, rounds=1, seeds=2)
    first, second = (f"run-2_2-lr0.0001-seed{number}" for number in range(2))
    with ExitStack() as other_process:
        assert other_process.enter_context(claimed(tmp_path / "runs" / first))
        watcher = Watched(then=other_process.close)
        await run(config, tmp_path, watcher)
    assert [name for name, _ in watcher.rewards] == [second, first]
    assert read(tmp_path).keys() == {first, second}


async def test_a_folder_of_other_settings_is_refused_by_the_setting(tiny_model_dir, tmp_path) -> None:
    await run(make_config(tiny_model_dir), tmp_path)
    with pytest.raises(ConfigError, match=r"settings\.rounds: 3 there, 4 now"):
        await run(make_config(tiny_model_dir, rounds=4), tmp_path)
    assert json.loads((tmp_path / "experiment.json").read_text())["rounds"] == 3, "what is reported stays"


@pytest.mark.parametrize(("generated_max", "generated"), [(8, 6), (4, 4)])
async def test_filtered_solo_generates_until_enough_groups_teach_or_the_bound(
    tiny_model_dir, tmp_path, generated_max, generated
) -> None:
    filtered = {"kind": "filtered_solo", "local": 2, "generated_max": generated_max}
    config = make_config(tiny_model_dir, nodes=1, rounds=1, configurations=[filtered])
    await run(config, tmp_path, score_by=EveryThirdGroup())  # three held-out questions come first
    [lines] = read(tmp_path).values()
    [line] = of_kind(lines, "node")
    teaching = generated // 3
    assert (line["groups_generated"], line["metrics"]["groups_own_used"]) == (generated, teaching)
    # Of the first two only: to go on until a group earns something, and count it, would flatter the policy.
    assert line["reward_own"] == 0
    assert sum(task["groups"] for task in line["own_by_task"].values()) == generated
    assert line["reward_mixed"] == 0.5  # of what was trained on
    assert line["groups_published"] == 0


async def test_a_fill_draws_only_what_own_groups_lack(tiny_model_dir, tmp_path) -> None:
    filled = {"local": 2, "external": 2, "learning": {"external_fill": 3}}
    await run(make_config(tiny_model_dir, rounds=1, configurations=[filled]), tmp_path)
    [lines] = read(tmp_path).values()
    for line in of_kind(lines, "node"):
        used = line["metrics"]["groups_own_used"], line["metrics"]["groups_external"]
        assert used == (2, 1)
        assert line["units"]["records_verified"] == 2, "a peer pulls twice what it uses"


async def test_a_measured_mix_makes_more_own_groups_once_it_saw_that_few_teach(
    tiny_model_dir, tmp_path
) -> None:
    measured = {"local": 1, "external": 1, "learning": {"mix": "measured"}}
    config = make_config(tiny_model_dir, rounds=2, configurations=[measured])
    await run(config, tmp_path, score_by=lambda position, text: Score(0.0))
    [lines] = read(tmp_path).values()
    assert [line["groups_generated"] for line in of_kind(lines, "node")] == [1, 1, 2, 2]


async def test_a_replaying_run_that_was_killed_repeats_the_same_groups(tiny_model_dir, tmp_path) -> None:
    replaying = {"kind": "replay_solo", "local": 2, "replay_rounds": 6, "replay_uses": 4}
    config = make_config(tiny_model_dir, nodes=1, rounds=4, configurations=[replaying])

    def seldom(position: int, text: str) -> Score:
        return Score(float(position == 0 and len(text) % 3 == 0))

    await run(config, tmp_path / "whole", score_by=seldom)
    with pytest.raises(KilledError):
        await run(config, tmp_path / "killed", Watched(3), score_by=seldom)
    await run(config, tmp_path / "killed", score_by=seldom)
    assert course(tmp_path / "killed") == course(tmp_path / "whole")
    trained = [
        line["metrics"]["groups_own"] for line in of_kind(read(tmp_path / "whole").popitem()[1], "node")
    ]
    assert max(trained) > 2, "some round trained on a group of an earlier one"


async def test_a_configuration_with_several_rates_is_run_with_its_best_on_fresh_seeds(
    tiny_model_dir, tmp_path
) -> None:
    config = make_config(tiny_model_dir, rounds=1, learning_rates=[1e-4, 1e-3], configurations=[{"local": 1}])
    await run(config, tmp_path)
    files = read(tmp_path)
    sweep = {name: lines for name, lines in files.items() if name.startswith("sweep-")}
    [main] = files.keys() - sweep.keys()
    assert len(sweep) == 2
    assert "lr0.0001" in main  # both earned the same, so the first is taken
    seeds = {lines[0]["settings"]["seed"] for lines in sweep.values()}
    assert files[main][0]["settings"]["seed"] not in seeds


async def test_nodes_of_different_models_and_tasks_learn_from_each_other(
    tiny_model_dir, other_tokenizer_dir, tmp_path
) -> None:
    config = make_config(
        tiny_model_dir,
        rounds=1,
        models=[str(tiny_model_dir), str(other_tokenizer_dir)],
        node_tasks=[["task0"], ["task1", "task2"]],
    )
    await run(config, tmp_path)
    [lines] = read(tmp_path).values()
    first, second = of_kind(lines, "node")
    assert first["own_by_task"] == {"task0": {"groups": 2, "reward": 0.5}}
    assert second["external_by_task"] == first["own_by_task"]
    assert first["external_by_task"] == second["own_by_task"]
    assert second["own_by_task"].keys() <= {"task1", "task2"}
    assert first["metrics"]["updated"]
    assert second["metrics"]["updated"]


async def test_nodes_and_seeds_are_asked_other_questions(tiny_model_dir, tmp_path) -> None:
    tasks = KnownTasks(every_other)
    config = make_config(tiny_model_dir, rounds=1, seeds=2, configurations=[{"local": 4}])
    await Experiment(config, MANIFEST, tmp_path, tasks, Watched()).run()
    evaluated = config.nodes * config.held_out_questions
    per_run = 2 * evaluated + config.nodes * 4
    trained = [tasks.scored[start + evaluated :][: config.nodes * 4] for start in (0, per_run)]
    seeds = [spec.seed for specs in trained for spec in specs]
    assert len(seeds) == len(set(seeds)) == 2 * 2 * 4


async def test_tis_across_tokenizers_is_refused_before_anything_runs(
    tiny_model_dir, other_tokenizer_dir, tmp_path
) -> None:
    config = make_config(
        tiny_model_dir,
        models=[str(tiny_model_dir), str(other_tokenizer_dir)],
        learning={"group_size": 2, "external_loss": "tis"},
    )
    with pytest.raises(ConfigError, match="external_loss"):
        await run(config, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_disk_without_locks_is_an_error_that_names_the_folder(tmp_path, monkeypatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=f"lock {tmp_path}.*no locks available"), claimed(tmp_path):
        pass
