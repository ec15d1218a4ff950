"""What is seen of this machine, and of a container's limits."""

from swarmd.config import PolicyConfig
from swarmd.policy.hardware import _cgroup_free, _cpu_name, probe_hardware
from swarmd.policy.plan import plan_hardware


def test_probing_this_machine_gives_a_probe_from_which_a_plan_can_be_made():
    probe = probe_hardware()
    assert probe.cores >= 1
    assert 0 < probe.held_bytes < probe.free_bytes
    assert len(plan_hardware(PolicyConfig(), probe=probe).reasons) == 4


def test_a_containers_memory_limit_counts_and_its_cached_files_do_not(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 250\n")
    assert _cgroup_free(tmp_path) == 550
    (tmp_path / "memory.max").write_text("max\n")
    assert _cgroup_free(tmp_path) == float("inf")
    assert _cgroup_free(tmp_path / "none") == float("inf")


def test_the_processors_name_is_read_where_the_system_tells_it(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nmodel name\t: Fast CPU 9000\nprocessor\t: 1\nmodel name\t: Fast CPU 9000\n"
    )
    assert _cpu_name(path) == "Fast CPU 9000"
    assert _cpu_name(tmp_path / "none")
