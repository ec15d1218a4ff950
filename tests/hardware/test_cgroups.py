"""A container's limits, of either version, wherever on the way to this process they are set."""

import pytest

from swarmd.hardware.cgroups import UNLIMITED, cores, cpu_seconds, free_bytes


@pytest.fixture
def groups(tmp_path):
    """groups(own, files): the mount and the file that names this process's groups."""

    def make(own, files):
        for name, text in files.items():
            path = tmp_path / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "own").write_text(own)
        return tmp_path / "mount", tmp_path / "own"

    return make


def memory(folder, limit, used, cached, often=0, mapped=0, shared=0):
    stat = f"anon 300\nshmem {shared}\nfile_mapped {mapped}\ninactive_file {cached}\nactive_file {often}\n"
    return {
        f"{folder}memory.max": f"{limit}\n",
        f"{folder}memory.current": f"{used}\n",
        f"{folder}memory.stat": stat,
    }


def memory_version_1(folder, limit, used, cached, often=0, mapped=0, shared=0):
    totals = (
        f"total_shmem {shared}\ntotal_mapped_file {mapped}\n"
        f"total_inactive_file {cached}\ntotal_active_file {often}\n"
    )
    return {
        f"memory/{folder}memory.limit_in_bytes": f"{limit}\n",
        f"memory/{folder}memory.usage_in_bytes": f"{used}\n",
        f"memory/{folder}memory.stat": f"shmem 1\nmapped_file 1\ninactive_file 1\nactive_file 1\n{totals}",
    }


def test_cached_files_do_not_count_as_used(groups):
    assert free_bytes(*groups("0::/\n", memory("", 1000, 700, 250))) == 550


@pytest.mark.parametrize("make", [memory, memory_version_1])
def test_cached_files_that_were_read_often_do_not_count_as_used(groups, make):
    own = "4:memory:/\n0::/\n"
    assert free_bytes(*groups(own, make("", 1000, 700, 50, often=500))) == 850


@pytest.mark.parametrize("make", [memory, memory_version_1])
@pytest.mark.parametrize(("mapped", "free"), [(200, 550), (600, 300)])
def test_mapped_files_such_as_libraries_count_as_used(groups, make, mapped, free):
    own = "4:memory:/\n0::/\n"
    assert free_bytes(*groups(own, make("", 1000, 700, 50, often=400, mapped=mapped))) == free


@pytest.mark.parametrize("make", [memory, memory_version_1])
@pytest.mark.parametrize(("shared", "free"), [(150, 700), (200, 750), (500, 750)])
def test_mapped_shared_memory_counts_as_used_once(groups, make, shared, free):
    own = "4:memory:/\n0::/\n"
    assert free_bytes(*groups(own, make("", 1000, 700, 50, often=400, mapped=200, shared=shared))) == free


def test_the_tightest_group_on_the_way_counts(groups):
    files = memory("", 9000, 8900, 0) | memory("a/", "max", 0, 0) | memory("a/b/", 1000, 700, 0)
    assert free_bytes(*groups("0::/a/b\n", files)) == 100


def test_a_group_beside_the_way_does_not(groups):
    assert free_bytes(*groups("0::/a\n", memory("b/", 1000, 999, 0))) == UNLIMITED


def test_a_path_that_only_the_host_sees_leaves_the_containers_own_limit(groups):
    assert free_bytes(*groups("0::/docker/123\n", memory("", 1000, 700, 0))) == 300


def test_version_1_is_read_where_it_has_the_controller(groups):
    no_limit = 2**63 - 4096
    files = memory_version_1("", no_limit, 700, 0) | memory_version_1("a/", 1000, 700, 50)
    own = "5:cpuset:/elsewhere\n4:memory:/a\n0::/\n"
    assert free_bytes(*groups(own, files)) == 350


def test_more_used_than_allowed_leaves_nothing(groups):
    assert free_bytes(*groups("0::/\n", memory("", 1000, 1200, 0))) == 0


def test_quotas_of_both_versions_are_cores(groups):
    files = {"a/cpu.max": "150000 100000\n", "cpu.max": "max 100000\n"}
    assert cores(*groups("0::/a\n", files)) == 1.5
    files = {"cpu/a/cpu.cfs_quota_us": "50000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cores(*groups("3:cpu,cpuacct:/a\n", files)) == 0.5


def test_cpu_time_is_that_of_the_group_with_the_quota_in_both_versions(groups):
    files = {"a/cpu.max": "150000 100000\n", "a/cpu.stat": "usage_usec 2500000\nuser_usec 1\n"}
    files |= {"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 9000000\n"}
    assert cpu_seconds(*groups("0::/a\n", files)) == 2.5
    files = {"cpu/a/cpu.cfs_quota_us": "50000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu/a/cpu.stat": "nr_periods 7\n", "cpuacct/a/cpuacct.usage": "1500000000\n"}
    assert cpu_seconds(*groups("2:cpuacct:/a\n1:cpu:/a\n", files)) == 1.5


def test_cpu_time_is_not_read_without_a_quota(groups):
    files = {"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 9000000\n"}
    assert cpu_seconds(*groups("0::/\n", files)) == 0


@pytest.mark.parametrize("own", ["", "nonsense\n", "0::/\n"])
def test_a_system_without_them_limits_nothing(groups, own):
    mount, named = groups(own, {"memory.max": "nonsense"})
    assert free_bytes(mount, named) == cores(mount, named) == UNLIMITED
    assert free_bytes(mount / "none", named / "none") == UNLIMITED
