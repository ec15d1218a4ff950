"""What each peer of a machine is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmd.config import Config
from swarmd.errors import ConfigError
from swarmd.fleet import Device, Equipment, Member, members_of, prepare_homes, require_addresses_apart
from swarmd.fleet import members as members_module
from swarmd.fleet.members import address_on_this_machine
from swarmd.hardware import plan

GPUS = (Device("cuda:0", "cuda:0"), Device("cuda:1", "cuda:1"))
CPUS = (Device("cpu:0", "cpu"), Device("cpu:1", "cpu"))
EQUIPMENT = Equipment(("cuda:0", "cuda:1"), cores=12)
ANNOUNCED = "/ip4/198.51.100.7/tcp/41000"


def settings(
    devices: tuple[Device, ...] = GPUS,
    *,
    equipment: Equipment = EQUIPMENT,
    given: dict[str, object] | None = None,
    terminal: bool = False,
    **config: Any,
) -> list[dict[str, object]]:
    configured = Config.model_validate({"home": "/h", **config})
    members = members_of(
        devices, config=configured, given=given or {}, equipment=equipment, terminal=terminal
    )
    return [dict(member.settings) for member in members]


def each(key: str, made: list[dict[str, object]]) -> list[object]:
    return [one.get(key) for one in made]


def test_each_has_its_device_and_home_and_what_was_given_to_all() -> None:
    members = members_of(
        GPUS,
        config=Config(home=Path("/h")),
        given={"swarm": "sapo", "policy.model": None, "learning.local": 8},
        equipment=EQUIPMENT,
        terminal=False,
    )
    assert [(member.name, str(member.home.path)) for member in members] == [
        ("cuda:0", "/h/devices/cuda-0"),
        ("cuda:1", "/h/devices/cuda-1"),
    ]
    assert dict(members[1].settings) == {
        "swarm": "sapo",
        "policy.model": None,
        "learning.local": 8,
        "policy.device": "cuda",
        "network.address_file": Path("/h/devices/cuda-1/addresses"),
        "observe.log_format": "json",
    }


def environments(devices: tuple[Device, ...], equipment: Equipment) -> list[dict[str, str]]:
    config = Config(home=Path("/h"))
    members = members_of(devices, config=config, given={}, equipment=equipment, terminal=False)
    return [dict(member.environment) for member in members]


def test_each_peer_sees_its_own_gpu_alone_and_one_on_the_cpu_sees_none() -> None:
    devices = (*GPUS, CPUS[0])
    assert environments(devices, EQUIPMENT) == [{"CUDA_VISIBLE_DEVICES": seen} for seen in ("0", "1", "")]


def test_gpus_that_the_operator_chose_from_are_named_as_the_operator_named_them() -> None:
    chosen_from = Equipment(("cuda:0", "cuda:1"), cores=12, cuda_visible="3, GPU-8932f937")
    assert environments(GPUS[::-1], chosen_from) == [
        {"CUDA_VISIBLE_DEVICES": seen} for seen in ("GPU-8932f937", "3")
    ]


def test_peers_on_the_cpu_share_the_memory_and_a_size_is_for_each() -> None:
    key = "policy.memory_limit"
    assert each(key, settings((*CPUS, GPUS[0]))) == ["40%", "40%", None]
    assert each(key, settings((CPUS[0], GPUS[0]))) == [None, None]
    assert each(key, settings(CPUS, policy={"memory_limit": "50 %"})) == ["25%", "25%"]
    assert each(key, settings(CPUS, policy={"memory_limit": "6GiB"})) == [None, None]


def test_ports_count_up_from_the_first_wherever_they_were_set() -> None:
    made = settings(network={"port": 41000}, observe={"http": "8080"})
    assert each("network.port", made) == [41000, 41001]
    assert each("observe.http", made) == ["127.0.0.1:8080", "127.0.0.1:8081"]


def test_port_0_stays_a_free_one_for_each() -> None:
    made = settings(network={"port": 0}, observe={"http": "[::1]:0"})
    assert each("network.port", made) == [None, None]
    assert each("observe.http", made) == ["[::1]:0", "[::1]:0"]


@pytest.mark.parametrize(
    "config", [{"network": {"port": 65535}}, {"observe": {"http": "127.0.0.1:65535"}}], ids=["port", "http"]
)
def test_ports_that_do_not_exist_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="2 peers take 2 ports starting at 65535"):
        settings(**config)
    assert settings(GPUS[:1], **config)


def test_cpu_peers_share_the_cores() -> None:
    assert each("policy.threads", settings(CPUS, policy={"model": "smollm2-135m"})) == [6, 6]
    few = Equipment((), cores=1)
    assert each("policy.threads", settings(CPUS, equipment=few, policy={"model": "smollm2-135m"})) == [1, 1]


def test_a_devices_own_file_decides_unless_a_flag_does(tmp_path: Path) -> None:
    prepare_homes(tmp_path, CPUS)
    own = tmp_path / "devices" / "cpu-1" / "config.toml"
    own.unlink()
    own.write_text(
        '[policy]\nthreads = 3\nmemory_limit = "10%"\n[network]\nport = 5000\n[observe]\nhttp = "9000"\n'
    )
    config = {"home": tmp_path, "policy": {"model": "smollm2-135m"}, "network": {"port": 41000}}
    quiet = settings(CPUS, **config)
    for key, expected in (("policy.threads", 6), ("policy.memory_limit", "40%"), ("network.port", 41000)):
        assert each(key, quiet) == [expected, None]
    flagged = settings(CPUS, given={"network.port": 41000}, **config)
    assert each("network.port", flagged) == [41000, 41001]


def test_what_the_hardware_plan_would_decide_is_decided_the_same_way_here() -> None:
    """The parent does not import torch, and so cannot use the plan's own constants."""
    assert members_module.ONE_THREAD_MODELS == plan.SMALL_MODELS
    assert plan.ACCELERATOR_HOST_THREADS == members_module.ACCELERATOR_HOST_THREADS


def test_accelerators_take_few_threads_and_never_more_than_their_share() -> None:
    assert each("policy.threads", settings(policy={"model": "smollm2-135m"})) == [4, 4]
    few = Equipment(("cuda:0", "cuda:1"), cores=3)
    assert each("policy.threads", settings(equipment=few, policy={"model": "smollm2-135m"})) == [1, 1]


@pytest.mark.parametrize(
    ("equipment", "policy"),
    [
        (EQUIPMENT, {"model": "embedded"}),
        (EQUIPMENT, {"model": "smollm2-135m", "threads": 9}),
        (Equipment((), cores=12, omp_threads=5), {"model": "smollm2-135m"}),
    ],
    ids=["a model too small for two", "asked for", "OMP_NUM_THREADS"],
)
def test_threads_that_something_else_decides_are_not_set(
    equipment: Equipment, policy: dict[str, Any]
) -> None:
    assert each("policy.threads", settings(CPUS, equipment=equipment, policy=policy)) == [None, None]


def test_the_log_is_for_people_in_a_terminal_and_json_elsewhere_unless_asked_for() -> None:
    assert each("observe.log_format", settings(terminal=True)) == ["console", "console"]
    assert each("observe.log_format", settings(terminal=False)) == ["json", "json"]
    asked = settings(terminal=True, observe={"log_format": "json"})
    assert each("observe.log_format", asked) == ["json", "json"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "/ip4/127.0.0.1"), ("::", "/ip6/::1"), ("192.0.2.7", "/ip4/192.0.2.7")],  # noqa: S104
)
def test_a_sibling_is_dialled_where_it_listens_on_this_machine(tmp_path: Path, host, expected) -> None:
    prepare_homes(tmp_path, CPUS)
    member = members_of(CPUS, config=Config(home=tmp_path), given={}, equipment=EQUIPMENT, terminal=False)[0]
    assert address_on_this_machine(member, host) is None
    member.home.write_port(41000)
    peer_id = member.home.key().peer_id
    assert address_on_this_machine(member, host) == f"{expected}/tcp/41000/p2p/{peer_id}"


def test_two_peers_cannot_announce_one_address() -> None:
    configs = {
        name: Config.model_validate({"home": f"/h/{name}", "network": {"announce": announced}})
        for name, announced in (("cuda:0", [ANNOUNCED]), ("cuda:1", [ANNOUNCED]), ("cpu:0", []))
    }
    with pytest.raises(ConfigError, match=f"cuda:0 and cuda:1 would both announce {ANNOUNCED}"):
        require_addresses_apart(configs)
    del configs["cuda:1"]
    require_addresses_apart(configs)


def test_a_member_is_found_by_its_addresses_in_its_own_home(make_members) -> None:
    first, second = make_members(2)
    assert isinstance(first, Member)
    assert first.addresses_path.parent == first.home.path != second.addresses_path.parent
