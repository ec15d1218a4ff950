"""What is seen of this machine."""

from swarmd.config import PolicyConfig
from swarmd.hardware.plan import plan_hardware
from swarmd.hardware.probe import cpu_name, probe_hardware


def test_probing_this_machine_gives_a_probe_from_which_a_plan_can_be_made():
    probe = probe_hardware()
    assert probe.cores >= 1
    assert 0 < probe.held_bytes < probe.free_bytes
    assert len(plan_hardware(PolicyConfig(), probe=probe).reasons) == 4


def test_the_processors_name_is_read_where_the_system_tells_it(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nmodel name\t: Fast CPU 9000\nprocessor\t: 1\nmodel name\t: Fast CPU 9000\n"
    )
    assert cpu_name(path) == "Fast CPU 9000"
    assert cpu_name(tmp_path / "none")
