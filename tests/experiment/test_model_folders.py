"""Models that are folders are found from the experiment's file; one that is missing is named at once."""

from __future__ import annotations

import json
import shutil

import pytest

from swarmd.errors import ConfigError
from swarmd.experiment import read_experiment
from tests.experiment.making import make_config, run

TWO_NODES = """name = "folders"
nodes = 2
rounds = 1
{models}
[[configurations]]
local = 1
"""


def read(path, models: str, model: str | None = None):
    path.write_text(TWO_NODES.format(models=models))
    return read_experiment(path, model=model)[0]


def test_folders_are_looked_for_from_the_file_and_nothing_else_is(tmp_path) -> None:
    file = tmp_path / "inner" / "experiment.toml"
    file.parent.mkdir()
    config = read(file, 'models = ["./a", "../b"]')
    assert config.models == (str(tmp_path / "inner" / "a"), str(tmp_path / "b"))
    assert config.policy.model == "embedded"
    config = read(file, 'models = ["Qwen/Qwen2.5-0.5B-Instruct", "/c"]')
    assert config.models == ("Qwen/Qwen2.5-0.5B-Instruct", "/c")
    assert read(file, '[policy]\nmodel = "./a"').policy.model == str(tmp_path / "inner" / "a")


def test_judges_that_are_folders_are_looked_for_from_the_file(tmp_path) -> None:
    file = tmp_path / "inner" / "experiment.toml"
    file.parent.mkdir()
    config = read(file, '[learning]\njudge = "../a"\nreward_model = "owner/name"\ngroup_size = 4')
    learning = config.learning_of(config.configurations[0], 1e-4)
    assert (learning.judge, learning.reward_model) == (str(tmp_path / "a"), "owner/name")
    assert learning.group_size == 4


def test_a_judge_of_one_configuration_alone_is_refused(tmp_path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(TWO_NODES.format(models="") + 'learning = {judge = "embedded"}\n')
    with pytest.raises(
        ConfigError, match=r"line 7: configurations.0.learning.judge: .* set it in \[learning\]"
    ):
        read_experiment(file)


async def test_results_go_on_with_a_judge_that_was_moved_and_not_with_another(
    tiny_model_dir, tmp_path
) -> None:
    out, moved = tmp_path / "results", tmp_path / "moved"
    shutil.copytree(tiny_model_dir, moved)

    def judged(judge, seeds):
        return make_config(tiny_model_dir, rounds=1, seeds=seeds, learning={"judge": str(judge)})

    await run(judged(tiny_model_dir, 1), out)
    await run(judged(moved, 2), out)
    assert len(list(out.glob("runs/*/rounds.jsonl"))) == 2
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"@")  # 2 for 1
    with pytest.raises(ConfigError, match=r"settings\.learning\.judge"):
        await run(judged(moved, 1), out)


def test_a_model_from_the_command_line_is_looked_for_from_the_working_directory(
    tmp_path, monkeypatch
) -> None:
    file = tmp_path / "inner" / "experiment.toml"
    file.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    text = '[policy]\nmodel = "./a"\nthreads = 1'
    config = read(file, text, model="./b")
    assert (config.policy.model, config.policy.threads) == (str(tmp_path / "b"), 1)
    assert read(file, text, model="Qwen/Qwen2.5-0.5B-Instruct").policy.model == "Qwen/Qwen2.5-0.5B-Instruct"


def test_a_model_from_the_command_line_beside_one_a_node_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"line 4: models: .*leave out --model"):
        read(tmp_path / "experiment.toml", 'models = ["./a", "./b"]', model="./c")


async def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path) -> None:
    missing = str(tmp_path / "missing")
    for key, given in (
        ("policy.model", {"policy": {"model": missing}}),
        ("models", {"models": [missing] * 2}),
    ):
        with pytest.raises(ConfigError, match="make_base_policies") as refused:
            await run(make_config(tmp_path, **given), tmp_path / "results")
        assert str(refused.value).startswith(f"{key}: there is no folder {missing}")
    assert not list((tmp_path / "results").glob("runs/*"))


async def test_results_go_on_with_a_model_that_was_moved_and_not_with_another(
    tiny_model_dir, tmp_path
) -> None:
    out, moved = tmp_path / "results", tmp_path / "moved"
    await run(make_config(tiny_model_dir, rounds=1), out)
    shutil.copytree(tiny_model_dir, moved)
    await run(make_config(moved, rounds=1, seeds=2), out)
    assert len(list(out.glob("runs/*/rounds.jsonl"))) == 2
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"@")  # 2 for 1
    with pytest.raises(ConfigError, match=r"settings\.model_files_sha256: \['\w{64}'\] there"):
        await run(make_config(moved, rounds=1), out)


async def test_results_that_know_a_model_by_its_path_are_left_to_the_version_that_made_them(
    tiny_model_dir, tmp_path
) -> None:
    config = make_config(tiny_model_dir, rounds=1)
    await run(config, tmp_path)
    [path] = tmp_path.glob("runs/*/rounds.jsonl")
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {"format": None}), *others, ""]))
    with pytest.raises(ConfigError, match="finish it with that version, or use another --out"):
        await run(config, tmp_path)


async def test_results_from_before_a_learning_setting_existed_go_on_with_its_default_only(
    tiny_model_dir, tmp_path
) -> None:
    await run(make_config(tiny_model_dir, rounds=1), tmp_path)
    [path] = tmp_path.glob("runs/*/rounds.jsonl")
    first, *others = path.read_text().splitlines()
    header = json.loads(first)
    del header["settings"]["learning"]["study"]
    path.write_text("\n".join([json.dumps(header), *others, ""]))
    await run(make_config(tiny_model_dir, rounds=1), tmp_path)
    with pytest.raises(ConfigError, match=r"settings\.learning\.study: 0 there, 4 now"):
        await run(make_config(tiny_model_dir, rounds=1, learning={"group_size": 2, "study": 4}), tmp_path)
