"""What --devices may name."""

from __future__ import annotations

import subprocess

import pytest

from swarmd.errors import ConfigError, SwarmdError
from swarmd.fleet import Device, Equipment, choose_devices, look_at_machine

TWO_GPUS = Equipment(("cuda:0", "cuda:1"), cores=16)
NONE = Equipment((), cores=2)


def test_accelerators_are_taken_in_the_order_given() -> None:
    assert choose_devices("cuda:1, cuda:0", TWO_GPUS) == (
        Device("cuda:1", "cuda:1"),
        Device("cuda:0", "cuda:0"),
    )


def test_all_means_every_accelerator_and_not_the_cpu() -> None:
    assert [each.device for each in choose_devices("all", TWO_GPUS)] == ["cuda:0", "cuda:1"]


def test_the_cpu_can_be_named_several_times_and_its_peers_are_told_apart() -> None:
    chosen = choose_devices("cpu,cuda:0,cpu", TWO_GPUS)
    assert [(each.name, each.device, each.directory) for each in chosen] == [
        ("cpu:0", "cpu", "cpu-0"),
        ("cuda:0", "cuda:0", "cuda-0"),
        ("cpu:1", "cpu", "cpu-1"),
    ]


@pytest.mark.parametrize(
    ("text", "equipment", "message"),
    [
        ("cuda:0,cuda:0", TWO_GPUS, "names cuda:0 twice"),
        ("cuda:2", TWO_GPUS, "'cuda:2', but PyTorch sees cuda:0, cuda:1, cpu on this machine"),
        ("mps", NONE, "'mps', but PyTorch sees cpu on this machine"),
        (
            "cuda",
            TWO_GPUS,
            "'cuda', but .* cuda:0, cuda:1, cpu .*: use these names, or all",
        ),
        ("auto", TWO_GPUS, "'auto', but .* use these names"),
        ("cpu:0", NONE, "'cpu:0', but .* use these names"),
        ("cpu,,cpu", NONE, "empty name"),
        ("", NONE, "empty name"),
        ("all", NONE, "PyTorch sees no accelerator"),
        (",".join(["cpu"] * 65), NONE, "names 65 devices: at most 64"),
    ],
)
def test_devices_that_cannot_be_had_are_refused_by_name(
    text: str, equipment: Equipment, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_devices(text, equipment)


def test_the_machine_is_what_the_probing_process_says_last(monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'a driver greets\n{"accelerators": ["cuda:0"], "cores": 3, "omp_threads": null}\n'
    done = subprocess.CompletedProcess([], 0, stdout=said, stderr="")
    monkeypatch.setattr("swarmd.fleet.devices.subprocess.run", lambda *_, **__: done)
    assert look_at_machine() == Equipment(("cuda:0",), cores=3, omp_threads=None)


def test_a_probing_process_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback\nRuntimeError: driver too old\n")
    monkeypatch.setattr("swarmd.fleet.devices.subprocess.run", lambda *_, **__: done)
    with pytest.raises(SwarmdError, match="RuntimeError: driver too old"):
        look_at_machine()
