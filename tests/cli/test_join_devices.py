"""swarmd join --devices, up to the point where processes are started, and what `status` shows of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from swarmd.cli.flags import arguments, overrides
from swarmd.cli.spelling import read_lora, read_template_args
from swarmd.config.settings import FLAGS
from swarmd.fleet import Equipment, Member, prepare_homes
from swarmd.fleet.devices import Device
from swarmd.names import named
from swarmd.storage import Home
from tests.cli.test_join import PEER
from tests.cli.test_status import SNAPSHOT, daemon_in

Command = Callable[[Member, Sequence[str]], list[str]]
SIBLING = PEER.replace("10.0.0.7", "127.0.0.1")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands where the peers are started, on a machine with two GPUs, and keeps what it is given."""
    calls: list[dict[str, Any]] = []

    async def supervise(members: Sequence[Member], **given: Any) -> int:
        calls.append({"members": members, **given})
        return 0

    equipment = Equipment(("cuda:0", "cuda:1"), cores=8)
    monkeypatch.setattr("swarmd.cli.devices.look_at_machine", lambda: equipment)
    monkeypatch.setattr("swarmd.cli.devices.supervise", supervise)
    monkeypatch.setattr("swarmd.hardware.drivers.why_no_cuda", lambda: None)
    return calls


def test_each_peer_is_a_join_with_the_same_flags_on_its_device(swarmd, started, tmp_path, capsys) -> None:
    flags = [
        "--peer",
        PEER,
        "--model",
        "Qwen/Qwen3-0.6B",
        "--lora",
        "r=16,alpha=8",
        "--port",
        "41000",
    ]
    outcome = swarmd("join", "--home", tmp_path, "--devices", "cuda:0,cuda:1", *flags, "--steps", "5")
    assert outcome.code == 0, outcome.err
    [call] = started
    second = call["members"][1]
    assert call["command"](second, [SIBLING]) == [
        *(sys.executable, "-P", "-m", "swarmd.parent", "join"),
        f"--home={tmp_path}/devices/cuda-1",
        "--steps=5",
        f"--peer={PEER}",
        f"--peer={SIBLING}",
        "--port=41001",
        f"--address-file={tmp_path}/devices/cuda-1/addresses",
        "--model=Qwen/Qwen3-0.6B",
        "--device=cuda",
        "--lora=r=16,alpha=8",
        "--threads=4",
        "--log-format=json",
    ]
    assert call["host"] == "0.0.0.0"  # noqa: S104
    call["listener"].said(second, '{"event": "step"}')
    assert json.loads(capsys.readouterr().out) == {"on": "cuda:1", "event": "step"}


def test_settings_of_the_home_s_file_reach_every_peer(swarmd, started, tmp_path) -> None:
    (tmp_path / "config.toml").write_text(f'[network]\npeers = ["{PEER}"]\n[observe]\nhttp = "8080"\n')
    assert swarmd("join", "--home", tmp_path, "--devices", "all").code == 0
    [call] = started
    made = [call["command"](member, ()) for member in call["members"]]
    assert all(f"--peer={PEER}" in each for each in made)
    assert "--http=127.0.0.1:8080" in made[0]
    assert "--http=127.0.0.1:8081" in made[1]


def address_of(member: Member) -> str:
    return f"/ip4/127.0.0.1/tcp/41000/p2p/{member.home.key().peer_id}"


def test_a_new_peer_knows_the_swarm_of_the_one_that_is_up_even_if_that_ends_first(started, swarmd, tmp_path):
    swarmd("join", "--home", tmp_path, "--devices", "cpu,cpu,cpu", "--steps", "1")
    [call] = started
    one_of_another_swarm, first, second = call["members"]
    one_of_another_swarm.home.write_manifest(b"another")
    first.home.write_manifest(b"theirs")
    call["command"](second, [address_of(first)])
    assert second.home.read_manifest() == b"theirs"
    call["command"](one_of_another_swarm, [address_of(first)])
    assert one_of_another_swarm.home.read_manifest() == b"another"


def test_a_device_with_a_swarm_of_its_own_is_not_given_that_of_the_others(started, swarmd, tmp_path) -> None:
    swarmd("join", "--home", tmp_path, "--devices", "cpu,cpu")
    own = Home(tmp_path / "devices" / "cpu-1")
    own.config_path.unlink()
    own.config_path.write_text('swarm = "arithmetic"\n')
    swarmd("join", "--home", tmp_path, "--devices", "cpu,cpu")
    first, second = started[1]["members"]
    first.home.write_manifest(b"theirs")
    started[1]["command"](second, [address_of(first)])
    assert second.home.read_manifest() is None


def test_one_device_is_a_fleet_of_one_so_that_a_second_can_be_added(swarmd, started, tmp_path) -> None:
    swarmd("join", "--home", tmp_path, "--devices", "cuda:1")
    alone = Home(tmp_path / "devices" / "cuda-1").key().peer_id
    swarmd("join", "--home", tmp_path, "--devices", "cuda:0,cuda:1")
    assert started[1]["members"][1].home.key().peer_id == alone


def test_a_peer_that_lived_in_the_home_is_said_to_take_no_part_once(swarmd, started, tmp_path) -> None:
    Home.open(tmp_path)
    first, second = (swarmd("join", "--home", tmp_path, "--devices", "all").err for _ in range(2))
    assert first.startswith(f"warning: the peer in {tmp_path} is not used")
    assert second == ""


def test_the_address_file_gets_the_way_to_the_first_that_is_up(swarmd, started, tmp_path) -> None:
    given = tmp_path / "addresses"
    swarmd("join", "--home", tmp_path / "h", "--devices", "all", "--address-file", given)
    [call] = started
    first, second = call["members"]
    first.addresses_path.write_text(f"{PEER}\n")
    second.addresses_path.write_text(f"{SIBLING}\n")
    call["listener"].reachable(second, first=True)
    call["listener"].reachable(first, first=False)
    assert given.read_text() == f"{SIBLING}\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device", "cuda:0", "--devices", "cuda:0"], "error: --device and --devices are both given"),
        (["--devices", "cuda:7"], "error: --devices names 'cuda:7', but PyTorch sees cuda:0, cuda:1, cpu"),
        (["--devices", "all", "--group-size", "1"], "error: --group-size: learning.group_size"),
        (["--devices", "all", "--port", "65535"], "error: --port: 2 peers take 2 ports starting at 65535"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(swarmd, started, tmp_path, flags, message) -> None:
    outcome = swarmd("join", "--home", tmp_path / "h", *flags)
    assert (outcome.code, started) == (2, [])
    assert outcome.err.startswith(message)
    assert not (tmp_path / "h").exists()


def test_one_announced_address_for_several_peers_is_refused(swarmd, started, tmp_path) -> None:
    announced = "/ip4/198.51.100.7/tcp/41000"
    outcome = swarmd("join", "--home", tmp_path, "--devices", "all", "--announce", announced)
    assert (outcome.code, started) == (2, [])
    assert "cuda:0 and cuda:1 would both announce" in outcome.err


def test_a_home_in_use_is_refused_as_that_of_one_peer_is(swarmd, started, tmp_path) -> None:
    with Home.open(tmp_path).lock():
        outcome = swarmd("join", "--home", tmp_path, "--devices", "all")
    assert (outcome.code, started) == (2, [])
    assert "is used by a running swarmd" in outcome.err


def test_every_setting_with_a_flag_can_be_passed_on() -> None:
    given = {
        **dict.fromkeys(FLAGS, "x"),
        **{key: False for key, flag in FLAGS.items() if flag.startswith("--no-")},
        "network.peers": ["a", "b"],
        **read_lora("r=4,alpha=9"),
        **read_template_args(["a=1", "b=false", "c=x=y"]),
    }
    typed = arguments(given)
    assert {each.partition("=")[0] for each in typed} == set(FLAGS.values())
    assert [each for each in typed if each.startswith(("--peer=", "--lora="))] == [
        *("--peer=a", "--peer=b"),
        "--lora=r=4,alpha=9",
    ]
    assert [each for each in typed if each.startswith("--template-arg")] == [
        *("--template-arg=a=1", "--template-arg=b=false", "--template-arg=c=x=y"),
    ]
    assert arguments({"policy.lora_rank": 4, "steps": None}) == ["--lora=r=4"]
    assert overrides(given)["policy"]["lora_alpha"] == 9


def test_help_says_what_devices_does(swarmd) -> None:
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", swarmd("join", "--help").out).split())
    assert "--devices all|DEVICE,... Run one peer per device" in text


def device_home(home, number: int):
    prepare_homes(home, [Device(f"cuda:{number}", f"cuda:{number}")])
    return home / "devices" / f"cuda-{number}"


def test_status_of_a_home_of_devices_shows_each_peer(swarmd, tmp_path) -> None:
    other = SNAPSHOT.model_copy(update={"peer_id": "12D3KooWyou"})
    with daemon_in(device_home(tmp_path, 0)), daemon_in(device_home(tmp_path, 1), other):
        table = swarmd("status", "--home", tmp_path)
        plain = swarmd("status", "--home", tmp_path, "--json")
    assert table.code == plain.code == 0
    for expected in ("── cuda-0", "── cuda-1", named("12D3KooWme"), named("12D3KooWyou")):
        assert expected in table.out
    found = json.loads(plain.out)["devices"]
    assert {name: status["peer_id"] for name, status in found.items()} == {
        "cuda-0": "12D3KooWme",
        "cuda-1": "12D3KooWyou",
    }


@pytest.mark.parametrize("command", [("peers",), ("ping", "brisk-otter"), ("play",)])
def test_a_command_for_one_peer_names_the_home_of_a_device(swarmd, tmp_path, command) -> None:
    device_home(tmp_path, 1)
    with daemon_in(device_home(tmp_path, 0)):
        outcome = swarmd(*command, "--home", tmp_path)
    one = f"name one of them, such as --home {tmp_path / 'devices' / 'cuda-0'}"
    assert (outcome.code, outcome.err) == (3, f"error: {tmp_path} holds a home for each device: {one}\n")


def test_a_peer_that_does_not_run_is_shown_as_such_and_hides_nobody(swarmd, tmp_path) -> None:
    device_home(tmp_path, 1)
    with daemon_in(device_home(tmp_path, 0)):
        table = swarmd("status", "--home", tmp_path)
        plain = swarmd("status", "--home", tmp_path, "--json")
    assert table.code == plain.code == 0
    assert "── cuda-1\nno daemon answers" in table.out
    assert json.loads(plain.out)["devices"]["cuda-1"] is None
    none = swarmd("status", "--home", tmp_path, "--json")
    assert none.code == 3
    assert json.loads(none.out) == {"devices": {"cuda-0": None, "cuda-1": None}}
