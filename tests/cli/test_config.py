"""swarmd config: every setting with its origin, and whether a file is right."""

from __future__ import annotations

import json

import pytest

from swarmd.config.loading import OF_A_MANIFEST
from swarmd.config.settings import SETTINGS
from swarmd.config.slices import Config
from swarmd.tasks.manifest import OF_SETTINGS


def test_each_setting_says_where_it_comes_from(swarmd, tmp_path, monkeypatch) -> None:
    (tmp_path / "config.toml").write_text("seed = 3\n[learning]\nlocal = 2\n[policy]\ndtype = 'float32'\n")
    monkeypatch.setenv("SWARMD_LEARNING__LOCAL", "5")
    outcome = swarmd("config", "show", "--home", tmp_path, "--dtype", "bfloat16", "--json")
    assert outcome.code == 0, outcome.err
    shown = json.loads(outcome.out)
    assert set(shown) == set(SETTINGS)
    assert shown["seed"] == {"value": 3, "origin": f"{tmp_path}/config.toml, line 1"}
    assert shown["learning.local"] == {"value": 5, "origin": "environment variable SWARMD_LEARNING__LOCAL"}
    assert shown["policy.dtype"] == {"value": "bfloat16", "origin": "--dtype"}
    assert shown["learning.external"] == {"value": 4, "origin": "default"}


def test_the_table_can_leave_defaults_out(swarmd, tmp_path) -> None:
    out = swarmd("config", "show", "--home", tmp_path, "--local", "2", "--changed").out
    assert "learning.local" in out
    assert "--local" in out
    assert "learning.external" not in out


def test_what_is_secret_is_not_shown(swarmd, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.cli.config.SECRET", ("model",))
    out = swarmd("config", "show", "--home", tmp_path, "--model", "./mine").out
    assert "(hidden)" in out
    assert "./mine" not in out


def test_a_right_file_is_said_to_be_right(swarmd, tmp_path) -> None:
    file = tmp_path / "new.toml"
    file.write_text("seed = 3\n")
    outcome = swarmd("config", "check", file, "--home", tmp_path)
    assert (outcome.code, outcome.out) == (0, f"{file}: valid; it sets 1 setting\n")


def test_a_wrong_file_is_named_with_its_line(swarmd, tmp_path) -> None:
    (tmp_path / "config.toml").write_text("[learning]\nlocl = 3\n")
    outcome = swarmd("config", "check", "--home", tmp_path)
    assert outcome.code == 2
    assert (
        f"{tmp_path}/config.toml, line 2: learning.locl: unknown; did you mean learning.local?" in outcome.err
    )
    assert swarmd("config", "check", tmp_path / "none.toml").code == 2


def test_nothing_changed_is_said_without_a_table(swarmd, tmp_path) -> None:
    assert (
        swarmd("config", "show", "--home", tmp_path, "--changed").out == "all settings have their defaults\n"
    )


def test_a_directory_is_not_called_a_missing_file(swarmd, tmp_path) -> None:
    outcome = swarmd("config", "check", tmp_path)
    assert outcome.code == 2
    assert f"{tmp_path} is a directory" in outcome.err


def test_a_manifest_is_not_a_list_of_unknown_settings(swarmd, tmp_path) -> None:
    assert swarmd("init", "--home", tmp_path / "author").code == 0
    file = tmp_path / "my garden.toml"
    assert swarmd("swarm", "create", "garden", "--out", file, "--home", tmp_path / "author").code == 0
    outcome = swarmd("config", "check", file)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert f"{file} is a swarm manifest, not a settings file" in outcome.err
    assert f"`swarmd swarm verify '{file}'`" in outcome.err


@pytest.mark.parametrize("command", [["swarm", "verify"], ["swarm", "show"], ["join", "--swarm"]])
@pytest.mark.parametrize("written", ["[learning]\nlocal = 3\n", None], ids=["changed", "as init writes it"])
def test_a_file_of_settings_is_not_a_manifest_with_unknown_keys(swarmd, tmp_path, command, written) -> None:
    assert swarmd("init", "--home", tmp_path / "home").code == 0
    file = tmp_path / "home" / "config.toml"
    if written is not None:
        file.write_text(written)
    outcome = swarmd(*command, file)
    assert outcome.code == 2
    assert f"{file} is a file of settings, not a swarm manifest: `swarmd config check" in outcome.err


def test_both_files_are_told_apart_by_keys_that_they_have() -> None:
    assert set(Config.model_fields) - {"home"} == OF_SETTINGS
    assert not OF_A_MANIFEST & set(Config.model_fields)
