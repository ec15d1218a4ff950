"""Homes under HOME/devices."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from swarmd.config import load_config
from swarmd.errors import ConfigError
from swarmd.fleet import Device, device_homes, give_ports, prepare_homes
from swarmd.fleet.homes import own_settings
from swarmd.storage import Home


class Listener(ExitStack):
    """A socket that listens on `port`."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port


GPUS = (Device("cuda:0", "cuda:0"), Device("cuda:1", "cuda:1"))


def test_each_device_is_a_peer_of_its_own_and_stays_it(tmp_path: Path) -> None:
    prepare_homes(tmp_path / "h", GPUS)
    homes = device_homes(tmp_path / "h")
    assert [home.path.name for home in homes] == ["cuda-0", "cuda-1"]
    ids = [home.key().peer_id for home in homes]
    assert len(set(ids)) == 2
    prepare_homes(tmp_path / "h", GPUS[1:])
    assert [home.key().peer_id for home in device_homes(tmp_path / "h")] == ids


def test_no_two_homes_get_the_same_port_even_if_the_system_would_give_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_homes(tmp_path, [Device(f"cpu:{number}", "cpu") for number in range(3)])
    homes = device_homes(tmp_path)
    homes[1].write_port(45_001)
    given = iter([45_001, 45_002, 45_002, 45_003])
    monkeypatch.setattr(socket, "create_server", lambda _: Listener(next(given)))
    give_ports(homes, "127.0.0.1")
    assert [home.read_port() for home in homes] == [45_002, 45_001, 45_003]
    give_ports(homes, "127.0.0.1")
    assert [home.read_port() for home in homes] == [45_002, 45_001, 45_003], "they keep them"


def test_one_config_file_holds_for_all_until_a_device_gets_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("seed = 5\n")
    prepare_homes(tmp_path, GPUS)
    first, second = device_homes(tmp_path)
    second.config_path.unlink()
    second.config_path.write_text("seed = 6\n")
    prepare_homes(tmp_path, GPUS)
    assert [load_config(home.path, {}).seed for home in (first, second)] == [5, 6]


def test_a_devices_own_settings_are_those_of_a_file_instead_of_the_link(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[policy]\nthreads = 2\n")
    assert own_settings(Home(tmp_path / "devices" / "cuda-0")) == frozenset()
    prepare_homes(tmp_path, GPUS)
    first, second = device_homes(tmp_path)
    second.config_path.unlink()
    second.config_path.write_text("seed = 6\n[policy]\nthreads = 3\n[network]\nport = 0\n")
    assert own_settings(first) == frozenset()
    assert own_settings(second) == {"policy.threads", "network.port"}


def test_settings_survive_a_move_of_the_whole_home(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.toml").write_text("seed = 5\n")
    prepare_homes(tmp_path / "a", GPUS)
    (tmp_path / "a").rename(tmp_path / "b")
    assert load_config(device_homes(tmp_path / "b")[0].path, {}).seed == 5


def test_a_home_of_one_peer_has_no_devices(tmp_path: Path) -> None:
    assert device_homes(Home.open(tmp_path).path) == device_homes(tmp_path / "absent") == ()


def test_a_path_where_no_home_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("")
    with pytest.raises(ConfigError, match=f"{tmp_path}/devices is a file"):
        prepare_homes(tmp_path, GPUS)


def test_a_command_for_one_peer_says_that_there_are_several(tmp_path: Path) -> None:
    prepare_homes(tmp_path, GPUS)
    with pytest.raises(ConfigError, match=f"--home {tmp_path}/devices/cuda-0"):
        Home.existing(tmp_path)
