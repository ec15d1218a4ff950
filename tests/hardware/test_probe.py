"""What is seen of this machine."""

import subprocess
import sys
import time

import psutil
import pytest
import torch

from swarmd.config import PolicyConfig
from swarmd.hardware import machine
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


def test_what_this_process_and_its_children_use_is_not_other_work(monkeypatch):
    own, now = iter([10.0, 11.5]), iter([100.0, 101.0])
    monkeypatch.setattr(machine, "_own_cpu_seconds", lambda: next(own))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 50.0)
    assert machine.cores_busy_with_other_work() == 8 * 0.5 - 1.5


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
