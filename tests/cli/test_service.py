"""swarmd service: what is checked before anything is written, and what its owner is told."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path

import pytest

from tests.service.making import LOGINCTL, SYSTEMCTL, Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """An ordinary user of Linux with a systemd of its own."""
    place = tmp_path / "programs"
    place.mkdir()
    found = Programs(place, tmp_path / ".config/systemd/user")
    found.write("systemctl", SYSTEMCTL)
    found.write("loginctl", LOGINCTL)
    found.write("journalctl", '#!/bin/sh\necho "$@" > "{place}/journal"\nexit 1\n')
    found.says("linger", "no\n")
    monkeypatch.setenv("PATH", found.path)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("LOGNAME", "you")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return found


def unit(programs: Programs) -> str:
    (found,) = programs.units.iterdir()
    return found.read_text()


def test_installing_makes_the_home_and_starts_join_with_the_flags_given(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARMD_LEARNING__LOCAL", "2")
    done = swarmd("service", "install", "--port", "0", "--external", "3", "--memory-max", "6GiB")
    assert done.code == 0, done.err
    assert (tmp_path / ".swarmd/identity.key").exists()
    text = unit(programs)
    assert '"-P" "-m" "swarmd" "join"' in text
    assert f'"--home={tmp_path}/.swarmd" "--port=0" "--external=3"' in text
    assert 'Environment="SWARMD_LEARNING__LOCAL=2"' in text
    assert f"MemoryMax={6 * 2**30}" in text
    assert "installed swarmd.service" in done.out
    assert "sudo loginctl enable-linger you" in done.out


def test_the_service_is_called_by_its_peers_name(swarmd, programs: Programs) -> None:
    from swarmd.names import named

    peer = swarmd("init").out.splitlines()[0].split()[-1]
    swarmd("service", "install")
    assert f"Description=swarmd peer {named(peer)}\n" in unit(programs)


def test_files_named_from_here_are_found_from_elsewhere(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        (Path(__file__).parents[2] / "swarmd/tasks/presets/starter.toml").read_text()
    )
    done = swarmd("service", "install", "--swarm", "./mine.toml", "--address-file", "address")
    assert done.code == 0, done.err
    assert f'"--swarm={tmp_path}/mine.toml"' in unit(programs)
    assert f'"--address-file={tmp_path}/address"' in unit(programs)
    assert f'ReadWritePaths="-{tmp_path}"' in unit(programs)


def test_files_named_by_variables_and_settings_are_found_from_elsewhere(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        (Path(__file__).parents[2] / "swarmd/tasks/presets/starter.toml").read_text()
    )
    monkeypatch.setenv("SWARMD_SWARM", "./mine.toml")
    home = tmp_path / "home"
    swarmd("init", "--home", home)
    shutil.copytree(Path(__file__).parents[2] / "swarmd/assets/embedded", tmp_path / "model")
    (home / "config.toml").write_text(
        f'[network]\naddress_file = "address"\n[policy]\nmodel = "{tmp_path}/model"\n'
    )
    done = swarmd("service", "install", "--home", home)
    assert done.code == 0, done.err
    [text] = [path.read_text() for path in programs.units.iterdir()]
    assert "--model" not in text, "what config.toml names by an absolute path can still be changed there"
    assert f'"--swarm={tmp_path}/mine.toml"' in text
    assert f'"--address-file={tmp_path}/address"' in text


@pytest.mark.parametrize("where", ["flag", "variable", "config.toml"])
def test_a_token_file_named_from_here_is_found_from_elsewhere(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("a-long-random-word\n")
    home = tmp_path / "home"
    swarmd("init", "--home", home)
    if where == "variable":
        monkeypatch.setenv("SWARMD_OBSERVE__HTTP_TOKEN", "@token")
    elif where == "config.toml":
        (home / "config.toml").write_text('[observe]\nhttp_token = "@token"\n')
    flags = ["--http-token", "@token"] if where == "flag" else []
    done = swarmd("service", "install", "--home", home, *flags)
    assert done.code == 0, done.err
    [text] = [path.read_text() for path in programs.units.iterdir()]
    assert f'"--http-token=@{tmp_path}/token"' in text


def test_a_token_file_that_the_settings_name_by_an_absolute_path_can_still_be_changed_there(
    swarmd, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a-long-random-word\n")
    home = tmp_path / "home"
    swarmd("init", "--home", home)
    (home / "config.toml").write_text(f'[observe]\nhttp_token = "@{tmp_path}/token"\n')
    done = swarmd("service", "install", "--home", home)
    assert done.code == 0, done.err
    assert "--http-token" not in unit(programs)


def test_the_hub_s_token_file_named_from_here_is_found_from_elsewhere_and_stays_as_it_is(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN_PATH", "secrets/token")
    done = swarmd("service", "install")
    assert done.code == 0, done.err
    lines = [line for line in unit(programs).splitlines() if "secrets" in line]
    assert lines == [f'Environment="HF_TOKEN_PATH={tmp_path}/secrets/token"'], "and it is not writable"


def test_a_judge_named_from_here_is_found_from_elsewhere(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge").mkdir()
    done = swarmd("service", "install", "--judge", "./judge", "--reward-model", "judge")
    assert done.code == 0, done.err
    assert f'"--judge={tmp_path}/judge"' in unit(programs)
    assert f'"--reward-model={tmp_path}/judge"' in unit(programs)


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-0.5B-Instruct", "embedded"])
def test_models_of_the_hub_and_judges_may_be_downloaded(
    swarmd, programs: Programs, tmp_path: Path, model: str
) -> None:
    done = swarmd("service", "install", "--model", model)
    assert done.code == 0, done.err
    assert f'ReadWritePaths="-{tmp_path}/.cache/huggingface"' in unit(programs)
    assert (tmp_path / ".cache/huggingface").is_dir()


def test_a_service_keeps_things_where_the_shell_says(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    given = {
        "XDG_CACHE_HOME": "caches",
        "HF_HUB_CACHE": "~/hub",
        "HF_XET_CACHE": "$HOME/xet",
        "HUGGINGFACE_HUB_CACHE": "former",
        "TMPDIR": "scratch",
        "TRITON_CACHE_DIR": "triton",
    }
    for name, place in given.items():
        monkeypatch.setenv(name, place)
    for name in ("HF_HOME", "VLLM_CACHE_ROOT"):
        monkeypatch.delenv(name, raising=False)
    done = swarmd("service", "install")
    assert done.code == 0, done.err
    text = unit(programs)
    for name, place in {**given, "HF_HUB_CACHE": "hub", "HF_XET_CACHE": "xet"}.items():
        assert f'Environment="{name}={tmp_path}/{place}"\n' in text
    for place in ("hub", "xet", "former", "scratch", "triton", "caches/huggingface", "caches/vllm"):
        assert f'ReadWritePaths="-{tmp_path}/{place}"\n' in text
    assert (tmp_path / "hub").is_dir()
    assert (tmp_path / "caches/huggingface").is_dir()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--memory-max", "lots"], "'lots' is not an amount of memory"),
        (["--model", "nosuchmodel"], "nosuchmodel"),
        (["--devices", "auto"], "name each device"),
    ],
)
def test_what_would_fail_later_is_told_now_and_nothing_is_installed(
    swarmd, programs: Programs, flags: list[str], said: str
) -> None:
    done = swarmd("service", "install", *flags)
    assert done.code == 2
    assert said in done.err
    assert not programs.units.exists()


def test_a_service_already_there_is_named_with_what_to_do(swarmd, programs: Programs) -> None:
    assert swarmd("service", "install").code == 0
    before = unit(programs)
    done = swarmd("service", "install", "--local", "2")
    assert done.code == 2
    assert "has a service already" in done.err
    assert "`swarmd service remove`" in done.err
    assert unit(programs) == before


@pytest.mark.parametrize("command", ["status", "logs", "remove"])
def test_a_home_without_a_service_is_told_how_to_get_one(
    swarmd, programs: Programs, tmp_path: Path, command: str
) -> None:
    done = swarmd("service", command, "--home", tmp_path / "other")
    assert done.code == 2
    assert f"`swarmd service install --home {tmp_path / 'other'}` creates one" in done.err


def test_a_command_to_copy_quotes_a_home_with_a_space(swarmd, programs: Programs, tmp_path: Path) -> None:
    done = swarmd("service", "status", "--home", tmp_path / "my peer")
    assert f"`swarmd service install --home '{tmp_path / 'my peer'}'` creates one" in done.err


def test_status_says_how_the_service_and_its_peer_are(swarmd, programs: Programs, tmp_path: Path) -> None:
    swarmd("service", "install")
    programs.says("state", "ActiveState=active\nActiveEnterTimestamp=Thu 15:02\nUnitFileState=enabled\n")
    done = swarmd("service", "status")
    assert done.code == 0
    assert "state    running since Thu 15:02" in done.out
    assert f"health   no daemon is running in {tmp_path}/.swarmd" in done.out
    as_json = json.loads(swarmd("service", "status", "--json").out)
    assert (as_json["name"], as_json["is_running"]) == ("swarmd.service", True)


def test_status_of_one_that_does_not_run_ends_with_3(swarmd, programs: Programs) -> None:
    swarmd("service", "install")
    programs.says("state", "ActiveState=failed\nExecMainStatus=70\nUnitFileState=enabled\n")
    done = swarmd("service", "status")
    assert done.code == 3
    assert "failed, exit code 70: a bug" in done.out


def test_logs_are_those_of_the_journal_and_end_as_it_ends(swarmd, programs: Programs) -> None:
    swarmd("service", "install")
    assert swarmd("service", "logs", "--lines", "7").code == 1
    asked = (programs.place / "journal").read_text()
    assert asked == "--user --unit=swarmd.service --lines=7 --no-pager\n"


def test_removing_leaves_the_home(swarmd, programs: Programs, tmp_path: Path) -> None:
    swarmd("service", "install")
    assert swarmd("service", "remove").code == 0
    assert list(programs.units.iterdir()) == []
    assert (tmp_path / ".swarmd/identity.key").exists()


# Machines on which there is no such service ----------------------------------------------------


def test_root_is_told_to_use_another_user(
    swarmd, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = swarmd("service", "install")
    assert done.code == 2
    assert "log in as the user who owns the peer" in done.err


def test_windows_is_told_to_use_wsl(swarmd, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    done = swarmd("service", "install")
    assert done.code == 2
    assert "use WSL 2" in done.err


def test_a_machine_without_systemd_is_told_so(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = swarmd("service", "install")
    assert done.code == 2
    assert "this machine has no systemd" in done.err


def test_on_macos_the_service_is_an_agent(
    swarmd, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    programs.write("launchctl", "#!/bin/sh\nexit 0\n")
    done = swarmd("service", "install")
    assert done.code == 0, done.err
    assert (tmp_path / "Library/LaunchAgents/swarmd.plist").exists()
    assert "launchd does not limit a service's memory" in done.out
