"""What is seen of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest
import torch

from swarmd.config import PolicyConfig
from swarmd.hardware import cgroups, machine
from swarmd.hardware.plan import plan_hardware
from swarmd.hardware.probe import GIB, Accelerator, cpu_name, probe_hardware


def test_probing_this_machine_gives_a_probe_from_which_a_plan_can_be_made():
    probe = probe_hardware()
    assert probe.cores >= 1
    assert 0 < probe.held_bytes < probe.free_bytes
    assert len(plan_hardware(PolicyConfig(), probe=probe).reasons) == 4


@pytest.fixture
def full_gpu_and_idle_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def mem_get_info(index: int) -> tuple[int, int]:
        if index == 0:
            raise torch.AcceleratorError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`")
        return 70 * GIB, 80 * GIB

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "A100")
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)


@pytest.mark.usefixtures("full_gpu_and_idle_gpu")
def test_a_gpu_without_room_for_a_context_has_nothing_free_and_hides_no_other(caplog):
    found = probe_hardware().accelerators
    assert found == (
        Accelerator("cuda:0", "A100", 0, bfloat16=True),
        Accelerator("cuda:1", "A100", 70 * GIB, bfloat16=True),
    )
    assert caplog.messages == ["cuda:0 cannot be used: CUDA error: out of memory"]


@pytest.mark.usefixtures("full_gpu_and_idle_gpu")
def test_no_gpu_is_probed_if_none_is_asked_for(caplog):
    assert probe_hardware(accelerators=False).accelerators == ()
    assert caplog.messages == []


def test_the_processors_name_is_read_where_the_system_tells_it(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nmodel name\t: Fast CPU 9000\nprocessor\t: 1\nmodel name\t: Fast CPU 9000\n"
    )
    assert cpu_name(path) == "Fast CPU 9000"
    assert cpu_name(tmp_path / "none")


def test_work_of_before_a_restart_is_not_other_work(monkeypatch):
    monkeypatch.setattr(psutil, "getloadavg", lambda: (1_000.0, 1_000.0, 1_000.0))
    assert probe_hardware().busy_cores <= psutil.cpu_count()


@pytest.fixture
def machine_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """machine_of(percents, allowed, quota): CPUs with that load, those allowed here, and a quota in cores."""

    def make(percents: list[float], allowed: set[int], quota: float = float("inf")) -> None:
        monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: len(percents))
        monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: percents)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
        monkeypatch.setattr(cgroups, "cores", lambda: quota)
        monkeypatch.setattr(cgroups, "cpu_seconds", lambda: 0.0)
        monkeypatch.setattr(machine, "_own_cpu_seconds", lambda: 0.0)

    return make


def test_what_this_process_and_its_children_use_is_not_other_work(machine_of, monkeypatch):
    machine_of([50.0] * 8, set(range(8)))
    own, now = iter([10.0, 11.5]), iter([100.0, 101.0])
    monkeypatch.setattr(machine, "_own_cpu_seconds", lambda: next(own))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert machine.cores_busy_with_other_work() == 8 * 0.5 - 1.5


@pytest.mark.parametrize(
    ("allowed", "busy"), [({0, 1}, 0.0), ({1, 2}, 1.0), ({6, 7, 8, 9}, 4.0), (set(range(10)), 8.0)]
)
def test_work_on_cpus_that_are_not_allowed_here_leaves_all_cores_free(machine_of, allowed, busy):
    machine_of([0.0, 0.0] + [100.0] * 8, allowed)
    assert (machine.usable_cores(), machine.cores_busy_with_other_work()) == (len(allowed), busy)


def test_a_container_that_numbers_its_cpus_anew_sees_its_own_work(machine_of):
    machine_of([100.0, 0.0, 0.0, 0.0], {40, 41, 42, 43})
    assert (machine.usable_cores(), machine.cores_busy_with_other_work()) == (4, 1.0)


@pytest.mark.parametrize(("working", "busy"), [(20, 0.0), (60, 0.0), (62, 2.0), (64, 4.0)])
def test_under_a_quota_other_work_takes_the_cores_that_the_quota_leaves(machine_of, working, busy):
    machine_of([100.0] * working + [0.0] * (64 - working), set(range(64)), quota=4.0)
    assert (machine.usable_cores(), machine.cores_busy_with_other_work()) == (4, busy)


@pytest.mark.parametrize(("in_group", "busy"), [(1.0, 0.0), (4.0, 3.0), (3.0, 2.0)])
def test_under_a_quota_other_work_in_the_same_group_takes_cores(machine_of, monkeypatch, in_group, busy):
    machine_of([100.0] * 6 + [0.0] * 10, set(range(16)), quota=4.0)
    own, group, now = iter([10.0, 11.0]), iter([50.0, 50.0 + in_group]), iter([100.0, 101.0])
    monkeypatch.setattr(machine, "_own_cpu_seconds", lambda: next(own))
    monkeypatch.setattr(cgroups, "cpu_seconds", lambda: next(group))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert machine.cores_busy_with_other_work() == busy


def test_the_work_of_a_child_is_counted_while_it_runs_and_after_it():
    script = (
        "import time\n"
        "while time.process_time() < 0.2: pass\n"
        "print('done', flush=True); input(); print('over', flush=True)"
    )
    before = machine._own_cpu_seconds()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        assert machine._own_cpu_seconds() - before > 0.15
        child.communicate("\n")
    if sys.platform == "linux":  # elsewhere psutil knows no times of children that ended
        assert machine._own_cpu_seconds() - before > 0.15
