"""Models that are folders are found from the experiment's file; one that is missing is named at once."""

from __future__ import annotations

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


def read(path, models: str):
    path.write_text(TWO_NODES.format(models=models))
    return read_experiment(path)[0]


def test_folders_are_looked_for_from_the_file_and_nothing_else_is(tmp_path) -> None:
    file = tmp_path / "inner" / "experiment.toml"
    file.parent.mkdir()
    config = read(file, 'models = ["./a", "../b"]')
    assert config.models == (str(tmp_path / "inner" / "a"), str(tmp_path / "b"))
    assert config.policy.model == "embedded"
    config = read(file, 'models = ["Qwen/Qwen2.5-0.5B-Instruct", "/c"]')
    assert config.models == ("Qwen/Qwen2.5-0.5B-Instruct", "/c")
    assert read(file, '[policy]\nmodel = "./a"').policy.model == str(tmp_path / "inner" / "a")


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
